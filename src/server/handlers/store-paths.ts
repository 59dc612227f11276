import { directoryOf, type StorePath } from "../../format/store-path.ts";
import { invalidParams } from "../../rpc/errors.ts";
import type { Store } from "../../store/store.ts";

/** The derivations, after it was found that they are of this store's directory. */
export function derivationsOfStore(
  store: Store,
  paths: readonly StorePath[],
): readonly StorePath[] {
  for (const path of paths) {
    if (directoryOf(path) !== store.directory) {
      throw invalidParams(`${path} is not in the store directory ${store.directory}`);
    }
  }
  return paths;
}
