/** Which store a plain user has who may not write to the standard one. */
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { SandboxMode } from "../server/options.ts";
import { temporaryDirectory } from "../util/temp.ts";
import {
  type Environment,
  mappedStore,
  ownStoreDirectory,
  type Settings,
  usable,
  withDirectory,
} from "./settings.ts";

interface Wishes {
  readonly create?: boolean;
  readonly sandbox?: SandboxMode | undefined;
}

/** The store that is meant: the one that flags or the environment name, the standard one, or where that cannot be written, the user's own. */
export async function storeMeant(
  settings: Settings,
  env: Environment,
  wishes: Wishes & { readonly realStore?: string | undefined; readonly db?: string | undefined },
): Promise<Settings> {
  const isNamed = (settings.directoryFrom ?? wishes.realStore ?? wishes.db) !== undefined;
  const isUsable = usable(settings.directory) && usable(dirname(settings.database));
  return isNamed || isUsable ? settings : await ownStore(settings, env, wishes);
}

/** Whether a store was made there: one whose database is lost is still to be mended, not to be passed over for another one. */
export function storeIsThere({ realDirectory, database }: Settings): boolean {
  return existsSync(database) || existsSync(join(realDirectory, ".kiln", "store-id"));
}

/**
 * A mapped store, in which paths and hashes are everybody's, where builders can be isolated; else one whose directory is the user's
 * own. The one that is there already is used, whatever would be chosen today.
 */
export async function ownStore(
  settings: Settings,
  env: Environment,
  wishes: Wishes = {},
): Promise<Settings> {
  const mapped = mappedStore(settings, env);
  const unmapped = withDirectory(settings, ownStoreDirectory(env));
  // Without isolation builders would not find a mapped store.
  if (wishes.sandbox === "false") return unmapped;
  if (storeIsThere(mapped)) return mapped;
  if (storeIsThere(unmapped)) return unmapped;
  return wishes.create !== true || (await canIsolate(mapped.realDirectory)) ? mapped : unmapped;
}

/** Tried where it will be done, or as near as there is a folder: file systems differ. */
async function canIsolate(storeDirectory: string): Promise<boolean> {
  const { probeSandbox } = await import("../build/sandbox/support.ts");
  let place = dirname(storeDirectory);
  while (!existsSync(place)) place = dirname(place);
  await using folder = await temporaryDirectory(place, "trial-").catch(
    async () => await temporaryDirectory(tmpdir(), "kiln-trial-"),
  );
  return (await probeSandbox({ directory: folder.path })).available;
}
