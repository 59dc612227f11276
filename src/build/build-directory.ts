/** The directory a builder works in. */
import { randomUUID } from "node:crypto";
import { chmodSync, chownSync, mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { hold } from "../files/directory.ts";
import { attempt } from "../files/file-error.ts";
import { removeTree } from "../files/remove-tree.ts";
import { inSlices } from "../files/slices.ts";
import { walk } from "../files/walk.ts";
import type { BuildUser } from "./executor.ts";

/** A new name for a build directory in `parent`: `zb-build-<name>-<random>`. */
export function buildDirectoryName(parent: string, name: string): string {
  return join(parent, `zb-build-${name}-${randomUUID().slice(-12)}`);
}

/** Removed when disposed of, unless it was kept. */
export class BuildDirectory implements AsyncDisposable {
  readonly path: string;
  #isKept = false;

  /** Makes the directory, which nobody but `user` can enter. */
  constructor(path: string, user: BuildUser | undefined) {
    this.path = path;
    attempt("make", path, () => {
      mkdirSync(path, { mode: 0o700 });
      if (user !== undefined) chownSync(path, user.uid, user.gid);
    });
  }

  /**
   * Leaves the directory for `keeper` (by default the user who runs this process) to look at, closed to everybody else, and without
   * programs that run as somebody else. What is in it keeps its owner: it may have names outside.
   */
  async keep(keeper: number | undefined): Promise<void> {
    await inSlices(walk(this.path), ({ type, parent, name }) => {
      if (type !== "file" && type !== "enter") return;
      using held = hold(parent, name);
      if ((held.stats.mode & 0o6000) === 0) return;
      attempt(
        "change",
        () => parent.pathOf(name),
        () => chmodSync(held.self, held.stats.mode & 0o1777),
      );
    });
    attempt("change", this.path, () => {
      const uid = process.geteuid?.();
      if (uid === 0) chownSync(this.path, keeper ?? uid, -1);
      chmodSync(this.path, 0o700);
    });
    this.#isKept = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isKept) return;
    try {
      rmdirSync(this.path); // most builders leave it empty
    } catch {
      await removeTree(this.path);
    }
  }
}
