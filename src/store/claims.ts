/**
 * Names in the store directory that builders write by themselves.
 *
 * A name is on disk as an intent before its builder begins. That is a wait, and a chain of builders would wait at each link: so whoever
 * waits has those announced, too, that are expected to be claimed next.
 *
 * What is made there gets another digest, and keeps its name. So such an intent foretells that, too, and the next builder need not
 * wait for another one either. It does so for a while only: after a crash, what came much later is not taken for a builder's.
 */
import { nameOf, type StorePath } from "../format/store-path.ts";
import { once } from "../util/keyed-mutex.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { StoreParts } from "./parts.ts";

/** Disposing of it takes away what has not become an object. */
export interface Claimed extends AsyncDisposable {
  readonly paths: readonly StorePath[];
}

/** The most names that are announced ahead at once. */
const mostAhead = 64;

/** Milliseconds for which an intent foretells what is made: where a build takes longer, one more wait for the disk is a small part. */
export const foretoldFor: number = 10 * 60_000;

interface Announced {
  readonly onDisk: Promise<void>;
  /** By the clock that intents and files get their times from. */
  onDiskSince: number | undefined;
  isClaimed: boolean;
}

export class Claims {
  readonly #parts: StoreParts;
  /** Names that somebody is going to claim, and how many are. */
  readonly #expected = new Map<StorePath, number>();
  /** Those that nobody has announced, in the order in which they are expected. */
  readonly #ahead = new Set<StorePath>();
  readonly #announced = new Map<StorePath, Announced>();

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /** Names that are going to be claimed, before the result is disposed of. */
  expect(paths: Iterable<StorePath>): Disposable {
    const list = [...new Set(paths)];
    for (const path of list) {
      this.#expected.set(path, (this.#expected.get(path) ?? 0) + 1);
      if (!this.#announced.has(path)) this.#ahead.add(path);
    }
    return once(() => {
      for (const path of list) {
        const others = (this.#expected.get(path) ?? 0) - 1;
        if (others > 0) this.#expected.set(path, others);
        else this.#forget(path);
      }
    });
  }

  /** @throws KilnError `store.conflict` when one of `paths` is an object */
  async claim(paths: readonly StorePath[]): Promise<Claimed> {
    const { objects, files } = this.#parts;
    const object = paths.find((path) => objects.has(path));
    if (object !== undefined) {
      throw new KilnError("store.conflict", `${object} is an object already`, { path: object });
    }
    // What is there now is nobody's: it must not be taken for the builder's work. It goes before there is an intent, so that no
    // crash makes it look like Kiln's.
    for (const path of paths) if (files.has(path)) files.moveOut(path);
    // On disk before the builder begins: names that survive a power cut, and whose intent does not, would be nobody's.
    const announced = this.#announce(paths);
    for (const one of announced) one.isClaimed = true;
    try {
      await Promise.all(announced.map(({ onDisk }) => onDisk));
    } catch (error) {
      for (const path of paths) this.#announced.delete(path);
      throw error;
    }
    return { paths, [Symbol.asyncDispose]: () => this.#release(paths) };
  }

  /** Announces names that are going to be claimed, or foretell others. Nobody need wait for it. */
  announce(paths: readonly StorePath[]): void {
    const { files } = this.#parts;
    const isFree = (path: StorePath): boolean => this.#expected.has(path) && !files.has(path);
    if (paths.every((path) => this.#announced.has(path) || isFree(path))) this.#announce(paths);
  }

  /** Whether it is on disk by now, and stays there for a while, that what is made at `path` becomes `object`. */
  foretells(path: StorePath, object: StorePath): boolean {
    const since = this.#announced.get(path)?.onDiskSince;
    if (since === undefined || !this.#expected.has(path)) return false;
    const age = Date.now() - since;
    // Where the clock was set back, the time of a file would not tell that it came after its intent.
    return age >= 0 && age < foretoldFor && nameOf(path) === nameOf(object);
  }

  #announce(paths: readonly StorePath[]): Announced[] {
    const fresh = paths.filter((path) => !this.#announced.has(path));
    if (fresh.length > 0) {
      const names = [...new Set([...fresh, ...this.#next()])];
      const onDisk = this.#record(names);
      for (const path of names) {
        this.#ahead.delete(path);
        this.#announced.set(path, { onDisk, onDiskSince: undefined, isClaimed: false });
      }
    }
    return paths.flatMap((path) => this.#announced.get(path) ?? []);
  }

  /** The next ones that are expected and free. */
  #next(): StorePath[] {
    const next: StorePath[] = [];
    for (const path of this.#ahead) {
      if (next.length === mostAhead) break;
      // What nobody has announced and is there stays nobody's for now.
      if (this.#parts.files.has(path)) this.#ahead.delete(path);
      else next.push(path);
    }
    return next;
  }

  #record(names: readonly StorePath[]): Promise<void> {
    const { database, intents } = this.#parts;
    const recorded = database.jointly(() =>
      intents.record(names.map((path) => ({ path, inode: undefined, foretells: true }))),
    );
    void this.#settle(names, recorded);
    return recorded;
  }

  async #settle(names: readonly StorePath[], recorded: Promise<void>): Promise<void> {
    const isOnDisk = await recorded.then(
      () => true,
      () => false,
    );
    for (const path of names) {
      const announced = this.#announced.get(path);
      if (announced?.onDisk !== recorded) continue;
      if (isOnDisk) announced.onDiskSince = Date.now();
      // Those who wait are told; who only expects a name announces it again.
      else this.#announced.delete(path);
    }
  }

  async #release(paths: readonly StorePath[]): Promise<void> {
    const { objects, files } = this.#parts;
    for (const path of paths) {
      if (files.has(path) && !objects.has(path)) files.moveOut(path);
      const announced = this.#announced.get(path);
      if (announced === undefined) continue;
      announced.isClaimed = false;
      if (!this.#expected.has(path)) this.#forget(path);
    }
  }

  /** Nobody expects it any more. */
  #forget(path: StorePath): void {
    this.#expected.delete(path);
    this.#ahead.delete(path);
    const announced = this.#announced.get(path);
    if (announced?.isClaimed !== false) return;
    this.#announced.delete(path);
    void this.#serve(path, announced);
  }

  async #serve(path: StorePath, { onDisk }: Announced): Promise<void> {
    try {
      await onDisk;
    } catch {
      return; // there is no intent
    }
    if (!this.#announced.has(path)) this.#parts.intents.serve([path]);
  }
}
