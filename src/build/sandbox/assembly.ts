/** Puts one sandbox together in a slot: everything but starting it. */
import { join } from "node:path";
import type { StoreDirectory } from "../../format/store-path.ts";
import type { Mount } from "./fstab.ts";
import { type Identity, layoutOf, type ResolvedPath, storeInTmp } from "./layout.ts";
import { MountTable } from "./mount-table.ts";
import { type Stub, stubFor } from "./mountpoints.ts";
import { mountsOf } from "./mounts.ts";
import type { Slot } from "./slot.ts";

export interface Assembly {
  readonly storeDirectory: StoreDirectory;
  /** Where the objects lie on this machine. */
  readonly realDirectory: string;
  /** Names of the store objects to be seen. */
  readonly objects: Iterable<string>;
  readonly paths: readonly ResolvedPath[];
  /** Who the builder is, as it sees itself. */
  readonly identity: Identity;
  readonly network: boolean;
  /** Becomes `/build`. */
  readonly workDirectory: string;
}

/**
 * What is then to be mounted, in this order.
 *
 * @throws KilnError `file.…` or `disk.…`
 */
export async function assemble(slot: Slot, assembly: Assembly): Promise<readonly Mount[]> {
  const { storeDirectory, realDirectory, workDirectory, paths } = assembly;
  const stubs = new Map<string, Stub>();
  for (const name of assembly.objects) stubs.set(name, stubFor(join(realDirectory, name)));
  const objects = [...stubs].filter(([, stub]) => stub.type !== "link").map(([name]) => name);
  const table = MountTable.read();
  await slot.prepare({
    layout: layoutOf(assembly),
    inTmp: storeInTmp(storeDirectory),
    stubs,
  });
  return mountsOf({ slot, workDirectory, storeDirectory, realDirectory, objects, paths, table });
}
