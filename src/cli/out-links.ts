/** Symlinks to results: `result`, `result-dev` for another output, `result-2` for the next target. */
import { lstatSync, readlinkSync, renameSync, symlinkSync, unlinkSync } from "node:fs";
import { isAbsolute } from "node:path";
import { attempt, fileError } from "../files/file-error.ts";
import { KilnError } from "../util/kiln-error.ts";

export interface LinkedOutput {
  readonly output: string;
  readonly path: string;
}

/** The links' names and targets, one list of outputs for each target. */
export function outLinks(
  name: string,
  targets: readonly (readonly LinkedOutput[])[],
): { readonly link: string; readonly path: string }[] {
  return targets.flatMap((outputs, at) =>
    outputs.map(({ output, path }) => ({
      link: `${name}${at === 0 ? "" : `-${at + 1}`}${output === "out" ? "" : `-${output}`}`,
      path,
    })),
  );
}

/**
 * Makes them; a link that is there already is replaced.
 *
 * @throws KilnError `file.exists` when something else has the name
 */
export function makeOutLinks(name: string, targets: readonly (readonly LinkedOutput[])[]): void {
  for (const { link, path } of outLinks(name, targets)) replaceLink(link, path);
}

function replaceLink(link: string, path: string): void {
  const there = lstatSync(link, { throwIfNoEntry: false });
  if (there !== undefined && !(there.isSymbolicLink() && isAbsolute(readlinkSync(link)))) {
    throw new KilnError("file.exists", `cannot make the link ${link}: something else is there`, {
      path: link,
      hint: "remove it, or give another --out-link",
    });
  }
  const temporary = `${link}.${process.pid}`;
  attempt("make the link", link, () => symlinkSync(path, temporary));
  try {
    renameSync(temporary, link);
  } catch (error) {
    unlinkSync(temporary);
    throw fileError("make the link", link, error);
  }
}
