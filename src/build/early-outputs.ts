/**
 * Outputs that lie where they belong and are still being brought to disk. Builders that need them begin meanwhile, and nothing else does:
 * what such a builder makes is registered, told and written down when its inputs are objects. A crash before that loses both.
 */
import { sortedSet } from "../util/byte-string.ts";
import type { ObjectInfo } from "../format/object-info.ts";
import type { StorePath } from "../format/store-path.ts";
import type { Store } from "../store/store.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { Outputs } from "./plan.ts";
import type { Ended } from "./scheduler.ts";

/** What the outputs of a derivation are going to be, by name. */
export type Infos = ReadonlyMap<string, ObjectInfo>;

/** Their paths alone. */
export function outputsOf(infos: Infos): Outputs {
  return new Map(Array.from(infos, ([name, { storePath }]) => [name, storePath]));
}

export class EarlyOutputs {
  readonly #infos = new Map<StorePath, Infos>();
  readonly #ends = new Map<StorePath, Promise<Ended>>();

  /** Notes what the derivation has made, until `ended` tells what became of that. */
  add(drvPath: StorePath, infos: Infos, ended: Promise<Ended>): void {
    this.#infos.set(drvPath, infos);
    this.#ends.set(drvPath, ended);
    void ended.finally(() => this.#infos.delete(drvPath));
  }

  /** Whether something of `inputs` is early now. */
  areAmong(inputs: Iterable<StorePath>): boolean {
    for (const input of inputs) if (this.#infos.has(input)) return true;
    return false;
  }

  /** The path of an output. */
  outputOf(drvPath: StorePath, output: string): StorePath | undefined {
    return this.#infos.get(drvPath)?.get(output)?.storePath;
  }

  /** As {@link Store.closure}; `paths` may be early outputs of `inputs`. */
  closure(store: Store, paths: Iterable<StorePath>, inputs: Iterable<StorePath>): StorePath[] {
    const early = new Map<StorePath, ObjectInfo>();
    for (const input of inputs) {
      for (const info of this.#infos.get(input)?.values() ?? []) early.set(info.storePath, info);
    }
    // A set is walked in the order in which it grows.
    const reached = new Set(paths);
    for (const path of reached) {
      for (const reference of early.get(path)?.references ?? []) reached.add(reference);
    }
    const registered = [...reached].filter((path) => !early.has(path));
    return sortedSet([...reached, ...store.closure(registered)]);
  }

  /**
   * Resolves when the outputs of `inputs` are objects.
   *
   * @throws KilnError `build.inputLost` when that has failed
   */
  async settled(inputs: Iterable<StorePath>): Promise<void> {
    for (const input of inputs) {
      if ((await this.#ends.get(input)) !== "failed") continue;
      throw new KilnError("build.inputLost", `${input} was built, but could not be stored`, {
        kind: "internal",
        path: input,
      });
    }
  }
}
