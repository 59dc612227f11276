/** What `.gitignore` files leave out, read without git and without a repository. */
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { codeOf } from "../util/code-of.ts";
import { globExpression } from "./glob.ts";

interface Rule {
  readonly expression: RegExp;
  /** `!`: what matches stays in. */
  readonly negated: boolean;
  /** Ends in `/`: only folders match. */
  readonly onlyFolders: boolean;
  /** Without a slash in it the pattern is about names, at any depth. */
  readonly byName: boolean;
}

/**
 * The `.gitignore` files of a folder and of all below it; when the folder lies in a repository (a folder with `.git`) also those
 * above it up to the repository's top. The user's and the clone's own exclude files don't count: they differ between machines.
 */
export class GitIgnore {
  readonly #top: string;
  readonly #rules = new Map<string, readonly Rule[]>();

  constructor(root: string) {
    this.#top = repositoryTop(root) ?? root;
  }

  /** Whether the file, or folder, is left out. That a folder above it may be is for the caller to know. */
  ignores(file: string, isFolder: boolean): boolean {
    for (let folder = dirname(file); ; folder = dirname(folder)) {
      const verdict = this.#verdict(folder, file, isFolder);
      if (verdict !== undefined) return verdict;
      if (folder === this.#top || folder === dirname(folder)) return false;
    }
  }

  /** What the rules in `folder` say about `file`: the last one that matches counts. */
  #verdict(folder: string, file: string, isFolder: boolean): boolean | undefined {
    const path = relative(folder, file);
    const name = basename(file);
    const rule = this.#rulesOf(folder).findLast(
      ({ expression, onlyFolders, byName }) =>
        (isFolder || !onlyFolders) && expression.test(byName ? name : path),
    );
    return rule === undefined ? undefined : !rule.negated;
  }

  #rulesOf(folder: string): readonly Rule[] {
    let rules = this.#rules.get(folder);
    if (rules === undefined) {
      rules = readRules(join(folder, ".gitignore"));
      this.#rules.set(folder, rules);
    }
    return rules;
  }
}

/** The rules in the text of a `.gitignore` file, in its order. Lines that make no pattern match nothing, as in git. */
export function parseRules(text: string): Rule[] {
  return text
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)
    .flatMap(parseRule);
}

function parseRule(line: string): Rule[] {
  if (line.startsWith("#")) return [];
  const negated = line.startsWith("!");
  // Blanks at the end don't count, unless the last one is quoted.
  let pattern = line.slice(negated ? 1 : 0).replace(/((?:^|[^\\])(?:\\\\)*(?:\\ )?) +$/, "$1");
  const onlyFolders = /[^\\](?:\\\\)*\/$|^\/$/.test(pattern);
  if (onlyFolders) pattern = pattern.slice(0, -1);
  if (pattern === "") return [];
  const byName = !pattern.includes("/");
  if (pattern.startsWith("/")) pattern = pattern.slice(1);
  try {
    return [
      { expression: globExpression(pattern, { braces: false }), negated, onlyFolders, byName },
    ];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

function readRules(file: string): Rule[] {
  try {
    return parseRules(readFileSync(file, "utf8"));
  } catch (error) {
    if (["ENOENT", "EISDIR", "ENOTDIR"].includes(codeOf(error) ?? "")) return [];
    throw error;
  }
}

function repositoryTop(folder: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, ".git"))) return at;
    if (at === dirname(at)) return undefined;
  }
}
