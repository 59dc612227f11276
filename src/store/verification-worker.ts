/** The thread behind VerificationPool: one tree after the other. */
import { parentPort } from "node:worker_threads";
import { hashTree } from "../files/dump.ts";
import { parseContentAddress, printContentAddress } from "../format/content-address.ts";
import { parseHash } from "../format/hash.ts";
import type { StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import { findWrongModes } from "./adopt/mending.ts";
import { treeState, type TreeState } from "./tree-state.ts";
import { verifyTree } from "./verification.ts";

/** An object's record in a form that can be sent to a thread. */
export interface Task {
  readonly tree: string;
  readonly storePath: StorePath;
  readonly narHash: string | undefined;
  readonly narSize: number;
  readonly references: readonly StorePath[];
  readonly ca: string | undefined;
  /** What is to be found out; default `verify`. */
  readonly what?: "verify" | "hash" | "marks" | "state";
  /** For `marks`: which of these files are executable and should not be. */
  readonly suspects?: readonly string[];
  /** For `state`: who has to own everything. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
}

export type Finding =
  | { readonly narHash: string; readonly ca: string }
  | { readonly files: readonly string[] }
  | { readonly hash: string; readonly size: number }
  | { readonly state: TreeState }
  | { readonly code: string; readonly message: string };

async function find(task: Task): Promise<Finding> {
  try {
    switch (task.what) {
      case "hash":
        return await hash(task);
      case "marks":
        return await findModes(task);
      case "state":
        return { state: await treeState(task.tree, task.owner) };
      case "verify":
      case undefined:
        break;
    }
    return await verify(task);
  } catch (thrown) {
    const { code, message } = KilnError.from(thrown);
    return { code, message };
  }
}

async function hash({ tree }: Task): Promise<Finding> {
  const { narHash, narSize } = await hashTree(tree);
  return { hash: narHash.sri(), size: narSize };
}

async function verify({ tree, narHash, ca, ...rest }: Task): Promise<Finding> {
  const record = {
    ...rest,
    narHash: narHash === undefined ? undefined : parseHash(narHash),
    ca: ca === undefined ? undefined : parseContentAddress(ca),
  };
  const info = await verifyTree(record, tree);
  if (info.ca === undefined) throw new Error("a verified object has an address");
  return { narHash: info.narHash.sri(), ca: printContentAddress(info.ca) };
}

async function findModes({ tree, narHash, narSize, suspects = [] }: Task): Promise<Finding> {
  if (narHash === undefined) return { files: [] };
  const expected = { narHash: parseHash(narHash), narSize };
  return { files: (await findWrongModes(tree, expected, suspects)) ?? [] };
}

parentPort?.on("message", (task: Task) => {
  void find(task).then((finding) => parentPort?.postMessage(finding, []));
});
