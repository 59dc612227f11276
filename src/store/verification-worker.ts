/** The thread behind VerificationPool: one tree after the other. */
import { parentPort } from "node:worker_threads";
import { hashTree } from "../files/dump.ts";
import { parseContentAddress, printContentAddress } from "../format/content-address.ts";
import { parseHash } from "../format/hash.ts";
import type { StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import { findWrongModes } from "./adopt/mending.ts";
import { verifyTree } from "./verification.ts";

/** An object's record in a form that can be sent to a thread. */
export interface Task {
  readonly tree: string;
  readonly storePath: StorePath;
  readonly narHash: string | undefined;
  readonly narSize: number;
  readonly references: readonly StorePath[];
  readonly ca: string | undefined;
  /** Not to verify, but only to hash what is there. */
  readonly isHashOnly?: boolean;
  /** Not to verify, but to find out which of these files are executable and should not be. */
  readonly suspects?: readonly string[];
}

export type Finding =
  | { readonly narHash: string; readonly ca: string }
  | { readonly files: readonly string[] }
  | { readonly hash: string; readonly size: number }
  | { readonly code: string; readonly message: string };

async function find(task: Task): Promise<Finding> {
  try {
    if (task.isHashOnly === true) {
      const { narHash, narSize } = await hashTree(task.tree);
      return { hash: narHash.sri(), size: narSize };
    }
    return task.suspects === undefined ? await verify(task) : await findModes(task, task.suspects);
  } catch (thrown) {
    const { code, message } = KilnError.from(thrown);
    return { code, message };
  }
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

async function findModes(
  { tree, narHash, narSize }: Task,
  suspects: readonly string[],
): Promise<Finding> {
  if (narHash === undefined) return { files: [] };
  const expected = { narHash: parseHash(narHash), narSize };
  return { files: (await findWrongModes(tree, expected, suspects)) ?? [] };
}

parentPort?.on("message", (task: Task) => {
  void find(task).then((finding) => parentPort?.postMessage(finding, []));
});
