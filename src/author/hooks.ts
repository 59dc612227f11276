/** How a build file's imports are found and loaded. */
import { existsSync, readFileSync } from "node:fs";
import module from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { codeOf } from "../util/code-of.ts";
import { Fault, lowerFirst, show } from "./fault.ts";
import { closeModule } from "./offline.ts";
import { fileName, isInternal, type Place } from "./place.ts";
import { placeInSource } from "./syntax.ts";

/** What was loaded, as far as it is not Kiln's own. */
export interface LoadedModules {
  /** File names, in the order of loading. */
  readonly files: Set<string>;
  /** Who imports whom, by URL. */
  readonly imports: Map<string, Set<string>>;
  /** Where a module was first imported, by its URL. */
  readonly importers: Map<string, Importer>;
}

interface Importer {
  readonly specifier: string;
  readonly parent: string;
}

/** What `import … from "kiln-store"` gives, also in packages: one Kiln, so one table of placeholders. */
const api = new URL(import.meta.url.endsWith(".ts") ? "api.ts" : "api.js", import.meta.url).href;
const ownManifest = new URL("../../package.json", import.meta.url);

/**
 * Installs the hooks; from then on imports are noted in what is returned. `entry` is the build file: it is a module, whatever the
 * package.json around it says of `.js`.
 */
export function installHooks(entry: string, warn: (text: string) => void): LoadedModules {
  const loaded: LoadedModules = { files: new Set(), imports: new Map(), importers: new Map() };
  const checkVersion = once((parent: string) => warnOfOtherVersion(parent, warn));

  module.registerHooks({
    resolve(specifier, context, next) {
      const { parentURL } = context;
      const parent = parentURL === undefined || isInternal(parentURL) ? undefined : parentURL;
      if (parent === undefined) return next(specifier, context);
      if (specifier === "kiln-store") {
        checkVersion(parent);
        return {
          url: api,
          format: api.endsWith(".ts") ? "module-typescript" : "module",
          shortCircuit: true,
        };
      }
      try {
        const resolved = next(specifier, context);
        if (resolved.url.startsWith("node:")) closeModule(resolved.url);
        note(loaded, resolved.url, { specifier, parent });
        return resolved;
      } catch (error) {
        throw explained(error, { specifier, parent });
      }
    },
    load(url, context, next) {
      if (isInternal(url)) return next(url, context);
      try {
        if (!url.startsWith("file:")) return next(url, context);
        const file = fileURLToPath(url);
        loaded.files.add(file);
        if (!/\.m?ts$/.test(file)) {
          return next(url, file === entry ? { ...context, format: "module" } : context);
        }
        if (!isInPackage(file)) return next(url, { ...context, format: "module-typescript" });
        // Node refuses to strip types there.
        const source = module.stripTypeScriptTypes(readFileSync(file, "utf8"), { sourceUrl: url });
        return { format: "module", source, shortCircuit: true };
      } catch (error) {
        throw explained(error, loaded.importers.get(url));
      }
    },
  });
  return loaded;
}

/** Whether the file is a package's, not the user's own. */
export function isInPackage(file: string): boolean {
  return /[\\/]node_modules[\\/]/.test(file);
}

/** Where a module is imported, in the source of the one that does it. */
export function placeOfImport({ specifier, parent }: Importer): Place | undefined {
  const file = fileName(parent);
  return placeInSource(file, (source) => {
    const quoted = [`"${specifier}"`, `'${specifier}'`, `\`${specifier}\``];
    return Math.max(...quoted.map((text) => source.indexOf(text)));
  });
}

function note(loaded: LoadedModules, url: string, importer: Importer): void {
  if (!loaded.importers.has(url)) loaded.importers.set(url, importer);
  const imports = loaded.imports.get(importer.parent) ?? new Set();
  loaded.imports.set(importer.parent, imports.add(url));
}

/** Node's error about an import, at the line of the import. */
function explained(error: unknown, importer: Importer | undefined): unknown {
  if (!(error instanceof Error) || importer === undefined) return error;
  const place = placeOfImport(importer);
  const { specifier, parent } = importer;
  const options = { cause: error, place };
  switch (codeOf(error)) {
    case "ERR_MODULE_NOT_FOUND":
    case "ERR_UNSUPPORTED_DIR_IMPORT":
      return new Fault("author.import", `there is no module ${show(specifier)}`, {
        ...options,
        hint: betterSpecifier(specifier, dirname(fileName(parent))),
      });
    case "ERR_UNKNOWN_FILE_EXTENSION":
      return new Fault("author.import", `${show(specifier)} is no module that Node knows`, {
        ...options,
        hint: "types are only stripped: .ts, .mts, .js and .mjs, no JSX",
      });
    case "ERR_INVALID_TYPESCRIPT_SYNTAX":
    case "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX":
    case undefined:
      return error;
    default:
      return new Fault("author.import", lowerFirst(firstLine(error.message)), options);
  }
}

/** What to write instead of a specifier that names no file: Node wants the whole name. */
function betterSpecifier(specifier: string, folder: string): string | undefined {
  if (!/^\.{0,2}\//.test(specifier)) {
    if (specifier.startsWith("node:")) return undefined;
    const [name = ""] = /^(?:@[^/]+\/)?[^/]+/.exec(specifier) ?? [];
    const isMeant = name === "kiln" || name === "kiln-store";
    return isMeant && specifier !== "kiln-store/testing"
      ? 'write "kiln-store"'
      : `npm install ${name}`;
  }
  const base = specifier.replace(/\/$/, "");
  const bases = [base, base.replace(/\.[cm]?js$/, "")];
  const endings = [".ts", ".mts", ".js", ".mjs", "/index.ts", "/index.js"];
  const candidates = bases.flatMap((start) => endings.map((ending) => start + ending));
  const found = candidates.find((candidate) => existsSync(join(folder, candidate)));
  return found === undefined ? undefined : `write ${found}`;
}

/** A project that has a Kiln of its own gets the running one all the same. */
function warnOfOtherVersion(parent: string, warn: (text: string) => void): void {
  for (let at = dirname(fileName(parent)); at !== dirname(at); at = dirname(at)) {
    const pinned = versionIn(join(at, "node_modules", "kiln-store", "package.json"));
    if (pinned === undefined) continue;
    const running = versionIn(ownManifest);
    if (pinned === running) return;
    warn(
      `this project has kiln-store ${pinned}; its build files get the running Kiln's, ${running}`,
    );
    return;
  }
}

function versionIn(manifest: string | URL): string | undefined {
  try {
    const { version }: { version?: string } = JSON.parse(readFileSync(manifest, "utf8"));
    return version;
  } catch {
    return undefined;
  }
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

function once<A>(call: (argument: A) => void): (argument: A) => void {
  let called = false;
  return (argument) => {
    if (called) return;
    called = true;
    call(argument);
  };
}
