import {
  derivationNameOf,
  digestOf,
  directoryOf,
  isDerivationPath,
  joinPath,
  nameOf,
  objectNameOf,
  parsePathInDirectory,
  parseStoreDirectory,
  parseStorePath,
  storePathFor,
} from "../../src/format/store-path.ts";
import { vectorTests } from "./load.ts";

vectorTests("paths", {
  cleanDirectory: ({ path }: { path: string }) => ({ dir: parseStoreDirectory(path) }),
  parsePath: ({ path: text }: { path: string }) => {
    const path = parseStorePath(text);
    return {
      path,
      dir: directoryOf(path),
      base: objectNameOf(path),
      digest: digestOf(path),
      name: nameOf(path),
      isDerivation: isDerivationPath(path),
      derivationName: isDerivationPath(path) ? derivationNameOf(path) : undefined,
    };
  },
  directoryParsePath: ({ dir, path }: { dir: string; path: string }) =>
    parsePathInDirectory(parseStoreDirectory(dir), path),
  directoryObject: ({ dir, name }: { dir: string; name: string }) => ({
    path: storePathFor(parseStoreDirectory(dir), name),
  }),
  directoryJoin: ({ dir, elem }: { dir: string; elem: string[] }) => ({
    text: joinPath(parseStoreDirectory(dir), ...elem),
  }),
});
