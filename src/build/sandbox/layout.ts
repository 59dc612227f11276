/**
 * What a builder finds at `/`, beside its inputs: pure data, written to disk by `skeleton.ts`.
 *
 *     /build        the build directory               /etc    passwd, group, hosts; more with network
 *     /tmp          empty, writable                   /dev    six devices, pts, shm, links to descriptors
 *     /proc         its own processes                 <store> inputs and outputs
 */
import { posix } from "node:path";
import type { StoreDirectory } from "../../format/store-path.ts";

export type Entry =
  | { readonly type: "directory" }
  | { readonly type: "file"; readonly content: string }
  | { readonly type: "link"; readonly target: string };

/** By path inside; a directory before what is in it. */
export type Layout = ReadonlyMap<string, Entry>;

/** A sandbox path as it is on the host right now. */
export type ResolvedPath = { readonly inside: string } & (
  | { readonly type: "directory" | "file" | "device"; readonly source: string }
  | { readonly type: "link"; readonly target: string }
);

export interface LayoutOptions {
  readonly storeDirectory: StoreDirectory;
  readonly paths: readonly ResolvedPath[];
  /** Who the builder is, as it sees itself. */
  readonly identity: Identity;
  readonly network: boolean;
}

export interface Identity {
  readonly uid: number;
  readonly gid: number;
}

/** Devices of the host that every builder has. */
export const devices: readonly string[] = ["full", "null", "random", "tty", "urandom", "zero"];

/** Places that hold nothing of the host, whatever is asked for. */
export const privatePlaces: readonly string[] = ["/build", "/tmp", "/proc", "/dev/pts", "/dev/shm"];

const links: Readonly<Record<string, string>> = {
  "/dev/fd": "/proc/self/fd",
  "/dev/ptmx": "/dev/pts/ptmx",
  "/dev/stderr": "/proc/self/fd/2",
  "/dev/stdin": "/proc/self/fd/0",
  "/dev/stdout": "/proc/self/fd/1",
};

/** Everything a sandbox has of its own, but for the store. */
export const ownPaths: readonly string[] = [
  ...privatePlaces,
  ...devices.map((name) => `/dev/${name}`),
  ...Object.keys(links),
  "/etc/group",
  "/etc/hosts",
  "/etc/nsswitch.conf",
  "/etc/passwd",
];

const mountpoint: Entry = { type: "file", content: "" };

/** What there is at `/`. The store directory is missing where it lies in `/tmp`: see {@link storeInTmp}. */
export function layoutOf({ storeDirectory, paths, identity, network }: LayoutOptions): Layout {
  const layout = new Map<string, Entry>();
  const add = (path: string, entry: Entry): void => {
    const parent = posix.dirname(path);
    if (parent !== "/" && !layout.has(parent)) add(parent, { type: "directory" });
    layout.set(path, entry);
  };
  for (const path of privatePlaces) add(path, { type: "directory" });
  for (const name of devices) add(`/dev/${name}`, mountpoint);
  for (const [path, target] of Object.entries(links)) add(path, { type: "link", target });
  add("/etc/passwd", { type: "file", content: passwd(identity) });
  add("/etc/group", { type: "file", content: group(identity) });
  add("/etc/hosts", { type: "file", content: "127.0.0.1 localhost\n::1 localhost\n" });
  if (network) {
    const content = "hosts: files dns\nservices: files\n";
    add("/etc/nsswitch.conf", { type: "file", content });
  }
  if (storeInTmp(storeDirectory) === undefined) add(storeDirectory, { type: "directory" });
  for (const path of paths) {
    if (path.type === "link") add(path.inside, { type: "link", target: path.target });
    else add(path.inside, path.type === "directory" ? { type: "directory" } : mountpoint);
  }
  return layout;
}

/** Where in `/tmp` the store directory lies, if it lies there: that place is made anew for each build. */
export function storeInTmp(storeDirectory: StoreDirectory): string | undefined {
  return storeDirectory.startsWith("/tmp/") ? storeDirectory.slice("/tmp".length) : undefined;
}

function passwd({ uid, gid }: Identity): string {
  return (
    "root:x:0:0:Nix build user:/build:/noshell\n" +
    `zbld:x:${uid}:${gid}:zb build user:/build:/noshell\n` +
    "nobody:x:65534:65534:Nobody:/:/noshell\n"
  );
}

function group({ gid }: Identity): string {
  return `root:x:0:\nzbld:!:${gid}:\nnogroup:x:65534:\n`;
}
