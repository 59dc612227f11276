/**
 * Sandbox paths: what an operator lets builders see of the host, beside their inputs.
 *
 * They are checked when the daemon starts, so that no build fails, or sees something else, because two of them are in each other's
 * way. A host path that is a symlink becomes a symlink inside, too; everything else is mounted, read-only.
 */
import { lstatSync, readlinkSync } from "node:fs";
import { posix } from "node:path";
import { errorCode, fileError } from "../../files/file-error.ts";
import {
  parsePathInDirectory,
  type StoreDirectory,
  type StorePath,
} from "../../format/store-path.ts";
import { compareBytes } from "../../util/byte-string.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { ownPaths, privatePlaces, type ResolvedPath } from "./layout.ts";

export interface SandboxPathOptions {
  /** Where it is on the host; default: the path it has inside. */
  readonly path?: string;
  /** Given to every builder; default false: only to those that name it in `__buildSystemDeps`. */
  readonly alwaysPresent?: boolean;
}

export interface SandboxPath {
  readonly inside: string;
  /** Where it is on the host. In the store directory: the logical path. */
  readonly source: string;
  readonly alwaysPresent: boolean;
}

/**
 * Checked and ordered by the path inside, so that a directory comes before what is in it. Pure: whether they exist is another
 * question.
 *
 * @param paths by the path inside
 * @throws KilnError `sandbox.path`
 */
export function checkSandboxPaths(
  paths: ReadonlyMap<string, SandboxPathOptions>,
  storeDirectory: StoreDirectory,
): SandboxPath[] {
  const checked = Array.from(paths, ([text, options]): SandboxPath => {
    const inside = cleanPath(text, text);
    const source = cleanPath(options.path ?? inside, text);
    checkPlace(inside, storeDirectory);
    return { inside, source, alwaysPresent: options.alwaysPresent ?? false };
  }).toSorted((a, b) => compareBytes(a.inside, b.inside));
  for (const inner of checked) {
    for (const outer of checked) checkOverlap(outer, inner);
  }
  return checked;
}

/** What a build gets: those that are always present, and those it names. */
export function namedPaths(
  paths: readonly SandboxPath[],
  systemDeps: readonly string[],
): SandboxPath[] {
  const named = new Set(systemDeps.map((path) => posix.normalize(path).replace(/(?<=.)\/$/, "")));
  return paths.filter(({ inside, alwaysPresent }) => alwaysPresent || named.has(inside));
}

/** Those that do not lie in another one of them. */
export function outermost(paths: readonly SandboxPath[]): SandboxPath[] {
  return paths.filter(({ inside }) => !paths.some((outer) => isBelow(inside, outer.inside)));
}

/** The store object a sandbox path comes from, if it comes from the store. */
export function objectBehind(
  path: SandboxPath,
  storeDirectory: StoreDirectory,
): { readonly path: StorePath; readonly sub: string } | undefined {
  if (!isBelow(path.source, storeDirectory)) return undefined;
  return parsePathInDirectory(storeDirectory, path.source);
}

/**
 * What a sandbox path is at this moment.
 *
 * @param real where its source lies on this machine
 * @throws KilnError `sandbox.path` when it is missing
 */
export function resolvePath({ inside, source }: SandboxPath, real: string = source): ResolvedPath {
  try {
    const stats = lstatSync(real);
    if (stats.isSymbolicLink()) {
      return {
        inside,
        type: "link",
        target: posix.resolve(posix.dirname(source), readlinkSync(real)),
      };
    }
    if (stats.isDirectory()) return { inside, type: "directory", source: real };
    const isDevice = stats.isCharacterDevice() || stats.isBlockDevice();
    return { inside, type: isDevice ? "device" : "file", source: real };
  } catch (error) {
    if (errorCode(error) !== "ENOENT") throw fileError("look at", real, error);
    throw fault(
      inside,
      source === inside ? "does not exist" : `does not exist: ${source} is missing`,
      "leave it out, or say where it is: --sandbox-path INSIDE=HOST",
    );
  }
}

/** Whether `path` lies in the directory `directory`; not the directory itself. */
export function isBelow(path: string, directory: string): boolean {
  return path.startsWith(directory.endsWith("/") ? directory : `${directory}/`);
}

function cleanPath(text: string, inside: string): string {
  if (!text.startsWith("/")) throw fault(inside, `is not absolute: ${JSON.stringify(text)}`);
  if (text.includes("\0")) throw fault(inside, "contains a zero byte");
  return posix.normalize(text).replace(/(?<=.)\/$/, "");
}

/** Refuses what would hide something that every sandbox has of its own. */
function checkPlace(inside: string, storeDirectory: StoreDirectory): void {
  if (isBelow(inside, storeDirectory)) {
    // An object of the store, which every builder is then given like an input.
    if (parsePathInDirectory(storeDirectory, inside).sub === "") return;
    throw fault(inside, "is a part of a store object; only a whole object can be given");
  }
  const place = privatePlaces.find((own) => inside === own || isBelow(inside, own));
  if (place !== undefined)
    throw fault(inside, `is in ${place}, which every builder has of its own`);
  const hidden = [...ownPaths, storeDirectory].find(
    (own) => inside === own || inside === "/" || isBelow(own, inside),
  );
  if (hidden !== undefined) throw fault(inside, `would hide the builder's own ${hidden}`);
}

/** One in another is fine where it only says again what the other one shows anyway. */
function checkOverlap(outer: SandboxPath, inner: SandboxPath): void {
  if (!isBelow(inner.inside, outer.inside)) return;
  if (inner.source === outer.source + inner.inside.slice(outer.inside.length)) return;
  throw new KilnError(
    "sandbox.path",
    `sandbox paths ${outer.inside} and ${inner.inside} overlap: one lies in the other`,
    {
      path: inner.inside,
      hint: `give ${outer.inside} without ${inner.inside}, or the parts of it that builders need`,
    },
  );
}

function fault(inside: string, reason: string, hint?: string): KilnError {
  return new KilnError("sandbox.path", `sandbox path ${inside} ${reason}`, {
    path: inside,
    ...(hint === undefined ? {} : { hint }),
  });
}
