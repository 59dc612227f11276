/** Registering what lies in the store directory already: an installer has put it there. */
import { freeze } from "../files/freeze.ts";
import { sameAddress } from "../format/content-address.ts";
import type { ObjectInfo } from "../format/object-info.ts";
import { directoryOf } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import { missingReference, notContentAddressed } from "./database/objects.ts";
import { ownerOfObjects } from "./object-files.ts";
import type { StoreParts } from "./parts.ts";
import { verifyTree } from "./verification.ts";

/** Registers an object after a look at every byte of it; what is registered just so already is left as it is. */
export async function registerObject(parts: StoreParts, info: ObjectInfo): Promise<void> {
  const { storePath, references } = info;
  if (directoryOf(storePath) !== parts.directory) {
    throw new KilnError("path.invalid", `${storePath} is not inside ${parts.directory}`, {
      path: storePath,
    });
  }
  if (info.ca === undefined) throw notContentAddressed(storePath);
  using _lock = await parts.locks.lock(storePath);
  if (parts.files.find(storePath) === undefined) {
    throw new KilnError("store.missing", `there is nothing at ${storePath}`, { path: storePath });
  }
  const known = parts.objects.info(storePath);
  if (known !== undefined) {
    if (isSame(known, info)) return;
    throw new KilnError("store.conflict", `${storePath} does not match existing data`, {
      path: storePath,
    });
  }
  const tree = parts.files.pathOf(storePath);
  await verifyTree(info, tree, parts.buffers);
  const missing = references.find((path) => path !== storePath && !parts.objects.has(path));
  if (missing !== undefined) throw missingReference(storePath, missing);
  using _kept = parts.roots.protect(references);
  const entries = await freeze(tree, ownerOfObjects());
  await parts.syncer.trees([{ tree, entries }]);
  await parts.syncer.names();
  using _hidden = parts.objects.hide([storePath]);
  await parts.database.durably(() => parts.objects.insert([info], Date.now() + 1));
  _hidden[Symbol.dispose]();
  parts.onAdded(info, "register");
}

function isSame(a: ObjectInfo, b: ObjectInfo): boolean {
  const references = new Set(a.references);
  return (
    a.narSize === b.narSize &&
    a.narHash.equals(b.narHash) &&
    sameAddress(a.ca, b.ca) &&
    references.size === new Set(b.references).size &&
    b.references.every((path) => references.has(path))
  );
}
