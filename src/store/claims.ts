/** Names in the store directory that a builder writes by itself. */
import type { StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { StoreParts } from "./parts.ts";

/** Disposing of it takes away what has not become an object. */
export interface Claimed extends AsyncDisposable {
  readonly paths: readonly StorePath[];
}

/** @throws KilnError `store.conflict` when one of `paths` is an object */
export async function claimNames(parts: StoreParts, paths: readonly StorePath[]): Promise<Claimed> {
  const object = paths.find((path) => parts.objects.has(path));
  if (object !== undefined) {
    throw new KilnError("store.conflict", `${object} is an object already`, { path: object });
  }
  // What is there now is nobody's: it must not be taken for the builder's work. It goes before there is an intent, so that no
  // crash makes it look like Kiln's.
  for (const path of paths) {
    if (parts.files.find(path) !== undefined) parts.files.moveOut(path);
  }
  // On disk before the builder begins: names that survive a power cut, and whose intent does not, would be nobody's.
  await parts.database.durably(() =>
    parts.intents.record(paths.map((path) => ({ path, inode: undefined }))),
  );
  return {
    paths,
    [Symbol.asyncDispose]: () => release(parts, paths),
  };
}

async function release(parts: StoreParts, paths: readonly StorePath[]): Promise<void> {
  const unfinished = paths.filter(
    (path) => !parts.objects.has(path) && parts.files.find(path) !== undefined,
  );
  for (const path of unfinished) parts.files.moveOut(path);
  if (unfinished.length > 0) await parts.syncer.names();
  try {
    // An intent that comes back after a power failure finds nothing any more.
    parts.database.lightly(() => parts.intents.clear(paths));
  } catch (error) {
    parts.log("warn", `intents stay for now: ${KilnError.from(error).message}`);
    parts.intents.clearLater(paths);
  }
}
