/** Derivations in files that people name. */
import { existsSync, readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import type { Derivation } from "../format/derivation/derivation.ts";
import { parseDerivation } from "../format/derivation/parse.ts";
import { derivationObject } from "../format/derivation/print.ts";
import { parsePathInDirectory, type StoreDirectory, type StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { Settings } from "./settings.ts";

/** A derivation that is not yet known to be in the store. */
export interface DerivationFile {
  /** In the store directory already; then what it says is looked at when the store is open. */
  readonly inStore: boolean;
  readonly path: StorePath;
  readonly derivation: Derivation | undefined;
}

/** A derivation's file: by its path in the store, or from anywhere else. */
export function readDerivation(file: string, settings: Settings): DerivationFile {
  const { directory } = settings;
  const path = resolve(file);
  const place = placeInStore(settings, path);
  if (place !== undefined) return { inStore: true, path: place, derivation: undefined };
  if (!existsSync(path)) {
    throw new KilnError("file.missing", `no file ${file}`, {
      path,
      hint: `a derivation of the store ${directory} (--store names another), or a file of one`,
    });
  }
  const name = basename(path, ".drv").replace(/^[0-9a-df-np-sv-z]{32}-/, "");
  const derivation = parseNamed(directory, name, file, readFileSync(path));
  return { inStore: false, path: derivationObject(derivation).path, derivation };
}

function placeInStore(settings: Settings, path: string): StorePath | undefined {
  const { directory, realDirectory } = settings;
  const logical = path.startsWith(`${realDirectory}/`)
    ? directory + path.slice(realDirectory.length)
    : path;
  if (!logical.startsWith(`${directory}/`)) return undefined;
  const { path: object, sub } = parsePathInDirectory(directory, logical);
  if (sub === "") return object;
  throw new KilnError("path.invalid", `${path} is inside a store object`, { path });
}

/** As parseDerivation, with the file's name in what is thrown. */
export function parseNamed(
  directory: StoreDirectory,
  name: string,
  file: string,
  text: Uint8Array,
): Derivation {
  try {
    return parseDerivation(directory, name, text);
  } catch (error) {
    if (!(error instanceof KilnError)) throw error;
    throw new KilnError(error.code, `${basename(file)}: ${error.message}`, {
      path: file,
      cause: error,
    });
  }
}
