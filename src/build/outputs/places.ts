import { lstatSync } from "node:fs";
import { join } from "node:path";
import { removeTree } from "../../files/remove-tree.ts";
import type { StorePath } from "../../format/store-path.ts";
import type { BuildOutput } from "../executor.ts";

let next = 1;

/** Places of their own for the outputs of one build, in a private folder. What is left there goes when this is disposed of. */
export class OutputPlaces implements AsyncDisposable {
  readonly #folder: string;
  readonly #paths: string[] = [];

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** `logical`: the path that the builder knows each output by. */
  forOutputs(logical: ReadonlyMap<string, StorePath>): Map<string, BuildOutput> {
    return new Map(
      Array.from(logical, ([name, path]) => {
        const real = join(this.#folder, `output-${next++}`);
        this.#paths.push(real);
        return [name, { logical: path, real }];
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const path of this.#paths) {
      if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) await removeTree(path);
    }
  }
}
