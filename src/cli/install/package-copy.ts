/** Kiln itself, its libraries and its Node, copied to where nobody but the installation's owner changes them. */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { makeFolders } from "../../files/make-folders.ts";
import { z } from "zod";
import { KilnError } from "../../util/kiln-error.ts";

/** The folder of this package's `package.json`. */
export const packageRoot: string = fileURLToPath(new URL("../../..", import.meta.url));

/** What is read of a `package.json`. */
const manifest = z.object({ dependencies: z.record(z.string(), z.string()).default({}) });

/**
 * Copies the package that is running to `target`, with every library that it needs and the Node that runs it, and puts
 * `bin/kiln` beside. An older copy is replaced at the end in one rename, so a daemon that starts meanwhile finds one or the other.
 *
 * @throws KilnError `install.source` when a library cannot be found
 */
export async function copyPackage(target: string): Promise<void> {
  const draft = `${target}.new`;
  const old = `${target}.old`;
  try {
    fill(draft, target);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    throw error;
  }
  rmSync(old, { recursive: true, force: true });
  if (existsSync(target)) renameSync(target, old);
  renameSync(draft, target);
  rmSync(old, { recursive: true, force: true });
}

/** Makes the copy that is to be at `target`. */
function fill(draft: string, target: string): void {
  rmSync(draft, { recursive: true, force: true });
  makeFolders(join(draft, "bin"), 0o755);
  copyFolder(join(packageRoot, "dist"), join(draft, "dist"));
  for (const name of ["package.json", "LICENSE"]) {
    copyFileSync(join(packageRoot, name), join(draft, name));
  }
  for (const [place, source] of dependenciesOf(packageRoot)) copyFolder(source, join(draft, place));
  copyFileSync(process.execPath, join(draft, "bin", "node"));
  chmodSync(join(draft, "bin", "node"), 0o755);
  writeFileSync(join(draft, "bin", "kiln"), launcher(target), { mode: 0o755 });
}

/** One process: signals reach Kiln itself. As the checkout's `bin/kiln`, with little memory for what is young. */
function launcher(target: string): string {
  return `#!/bin/sh
exec ${quoted(join(target, "bin", "node"))} --max-semi-space-size=8 --min-semi-space-size=3 ${quoted(join(target, "dist", "bundle", "main.js"))} "$@"
`;
}

/** A path as one word of sh. */
function quoted(path: string): string {
  return `'${path.replaceAll("'", `'\\''`)}'`;
}

/**
 * All packages that the one at `root` needs at run time: where each belongs below the copy, and where it lies now. Found as Node
 * finds them: in the nearest `node_modules` upwards.
 */
function dependenciesOf(root: string): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (from: string, place: string): void => {
    for (const name of dependencyNames(from)) {
      const source = locate(name, from);
      const shared = join("node_modules", name);
      // Two versions of one library: the second lies inside the package that wants it.
      const home =
        found.get(shared) === undefined || found.get(shared) === source
          ? shared
          : join(place, "node_modules", name);
      if (found.get(home) === source) continue;
      found.set(home, source);
      visit(source, home);
    }
  };
  visit(root, "");
  return found;
}

function locate(name: string, from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    if (basename(folder) !== "node_modules" && existsSync(join(candidate, "package.json"))) {
      return candidate;
    }
    if (folder === dirname(folder)) {
      throw new KilnError("install.source", `the library ${name} of ${from} is not installed`, {
        kind: "internal",
        path: from,
        hint: "npm ci",
      });
    }
  }
}

function dependencyNames(folder: string): string[] {
  const text = readFileSync(join(folder, "package.json"), "utf8");
  return Object.keys(manifest.parse(JSON.parse(text)).dependencies);
}

/** Without tests, and without libraries inside libraries: those have a place of their own. */
function copyFolder(source: string, target: string): void {
  cpSync(source, target, {
    recursive: true,
    dereference: true,
    filter: (path) => {
      const inside = relative(source, path).split(sep);
      return (
        !inside.includes("node_modules") && !/\.test\.|\.tsbuildinfo$/.test(inside.at(-1) ?? "")
      );
    },
  });
}
