/**
 * Who may do what.
 *
 * A *reader* looks. A *user* also imports, builds, and cancels builds of their own. A *trusted* user may do everything: root, the user
 * who runs the server, members of the trusted group, whoever comes in on the administrators' socket, and the program that embeds the
 * server. A content address proves itself, which is why anybody may import; a record or a deletion does not.
 */
import type { Method } from "../rpc/protocol.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { PeerCredentials } from "./context.ts";

/** What somebody may do, in ascending order. */
export type Role = "reader" | "user" | "trusted";

/** What a socket is for: whoever comes in on it has at most, or at least, the role. */
export type Door = "readers" | "everybody" | "administrators";

/** Who asks. */
export interface Caller {
  readonly role: Role;
  /** Undefined where the system does not tell. */
  readonly credentials?: PeerCredentials | undefined;
}

/** Whoever has the server in their own process. */
export const embedder: Caller = { role: "trusted" };

/** Who comes in. `trustedGroup` is a group's number. */
export function callerAt(
  door: Door,
  credentials: PeerCredentials | undefined,
  trustedGroup: number | undefined,
): Caller {
  if (door === "readers") return { role: "reader", credentials };
  const isTrusted = door === "administrators" || isTrustedUser(credentials, trustedGroup);
  return { role: isTrusted ? "trusted" : "user", credentials };
}

function isTrustedUser(
  credentials: PeerCredentials | undefined,
  trustedGroup: number | undefined,
): boolean {
  if (credentials === undefined) return false;
  const { uid, gid, groups = [gid] } = credentials;
  if (uid === 0 || uid === process.geteuid?.()) return true;
  return trustedGroup !== undefined && groups.includes(trustedGroup);
}

/** How the caller is called in records. */
export function nameOf(caller: Caller): string | undefined {
  const uid = caller === embedder ? process.geteuid?.() : caller.credentials?.uid;
  return uid === undefined ? undefined : `uid ${uid}`;
}

/** The least role that may call each method. */
const roles: Readonly<Record<Method, Role>> = {
  "zb.exists": "reader",
  "zb.info": "reader",
  "zb.export": "reader",
  "zb.getBuild": "reader",
  "zb.getBuildResult": "reader",
  "zb.readLog": "reader",
  "zb.nop": "reader",
  "zb.fetch": "reader",
  "kiln.hello": "reader",
  "kiln.missing": "reader",
  "kiln.objects": "reader",
  "kiln.closure": "reader",
  "kiln.builds": "reader",
  "kiln.results": "reader",
  "kiln.watch": "reader",
  "kiln.roots": "reader",
  "kiln.importReport": "user",
  "kiln.plan": "user",
  "zb.realize": "user",
  "zb.expand": "user",
  "zb.cancelBuild": "user", // of one's own: the handler sees to that
  "kiln.addRoot": "user", // for a link of one's own: the handler sees to that
  "kiln.removeRoot": "trusted",
  "kiln.delete": "trusted",
  "kiln.register": "trusted",
  "kiln.collect": "trusted",
  "kiln.verify": "trusted",
};

const ranks: readonly Role[] = ["reader", "user", "trusted"];

/** @throws KilnError `access.denied` unless the caller may call the method */
export function requireRole(method: Method, { role }: Caller): void {
  if (ranks.indexOf(role) < ranks.indexOf(roles[method])) throw denied(method, role);
}

/** The refusal of something that the caller's role does not allow. */
export function denied(what: string, role: Role): KilnError {
  if (role === "reader") {
    return new KilnError("access.denied", `${what}: this socket is for reading`, {
      hint: "connect to the daemon's main socket",
    });
  }
  return new KilnError("access.denied", `${what}: only trusted users may do that`, {
    hint: "root, the daemon's own user, and members of kiln serve --trusted-group are trusted",
  });
}
