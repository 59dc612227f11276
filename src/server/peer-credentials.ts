/**
 * Who is at the other end of a Unix socket. Node cannot ask the system for that; the optional package koffi can, by calling libc.
 * Where it is missing, and on other systems than Linux, everything else works, and nobody is known.
 */
import type { Socket } from "node:net";
import type { PeerCredentials } from "./context.ts";

/** From `<sys/socket.h>`, the same on x86-64 and aarch64. */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERGROUPS = 59;

/** Groups of a process at most (NGROUPS_MAX). */
const mostGroups = 65_536;

type GetSocketOption = (
  fd: number,
  level: number,
  name: number,
  value: Buffer,
  length: Buffer,
) => number;

/** Finds out who connected; undefined where that cannot be known. */
export type CredentialReader = (socket: Socket) => PeerCredentials | undefined;

let reader: Promise<CredentialReader | undefined> | undefined;

/** The reader, loaded once; undefined where peers cannot be known. */
export async function credentialReader(): Promise<CredentialReader | undefined> {
  reader ??= load();
  return await reader;
}

async function load(): Promise<CredentialReader | undefined> {
  if (process.platform !== "linux") return undefined;
  try {
    const { default: koffi } = await import("koffi");
    const ask = koffi
      .load("libc.so.6")
      .func("int getsockopt(int fd, int level, int name, void *value, void *length)");
    return (socket) => read(ask as GetSocketOption, socket);
  } catch {
    return undefined;
  }
}

function read(ask: GetSocketOption, socket: Socket): PeerCredentials | undefined {
  const fd = descriptorOf(socket);
  if (fd === undefined) return undefined;
  const value = option(ask, fd, SO_PEERCRED, 12);
  if (value?.length !== 12) return undefined;
  // struct ucred: pid, uid, gid.
  const [pid, uid, gid] = [value.readInt32LE(0), value.readUInt32LE(4), value.readUInt32LE(8)];
  // A socket of a pair, or one whose peer is in another user namespace, has nobody's id.
  if (uid === 0xffff_ffff) return undefined;
  const groups = option(ask, fd, SO_PEERGROUPS, 4 * mostGroups) ?? Buffer.alloc(0);
  const further = Array.from({ length: groups.length / 4 }, (_, i) => groups.readUInt32LE(4 * i));
  return { uid, gid, pid, groups: [...new Set([gid, ...further])] };
}

function option(ask: GetSocketOption, fd: number, name: number, size: number): Buffer | undefined {
  const value = Buffer.alloc(size);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(size);
  if (ask(fd, SOL_SOCKET, name, value, length) !== 0) return undefined;
  return value.subarray(0, length.readUInt32LE(0));
}

/** Node keeps the descriptor of a socket in its handle, and documents that for servers only. */
function descriptorOf(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, "_handle");
  if (typeof handle !== "object" || handle === null || !("fd" in handle)) return undefined;
  return typeof handle.fd === "number" && handle.fd >= 0 ? handle.fd : undefined;
}
