import { readFileSync } from "node:fs";
import { fileError } from "../files/file-error.ts";
import type { Derivation } from "../format/derivation/derivation.ts";
import { parseDerivation } from "../format/derivation/parse.ts";
import { sha256 } from "../format/hash.ts";
import { derivationNameOf, isDerivationPath, type StorePath } from "../format/store-path.ts";
import type { Store } from "../store/store.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import { KilnError } from "../util/kiln-error.ts";

interface Entry {
  readonly derivation: Derivation;
  readonly size: number;
  /** On a clock that never jumps. */
  readonly usedAt: number;
}

export interface DerivationReaderOptions {
  /** Bytes of derivations to remember; default 32 MiB. */
  readonly capacity?: number;
  readonly clock?: Clock | undefined;
}

/** Milliseconds after which a derivation that nobody reads is forgotten. */
const memory = 5 * 60_000;

/** Reads derivations of a store, and remembers those read lately: derivations never change. */
export class DerivationReader {
  readonly #store: Store;
  readonly #capacity: number;
  readonly #clock: Clock;
  /** The ones used last come last. */
  readonly #entries = new Map<StorePath, Entry>();
  #size = 0;

  constructor(store: Store, options: DerivationReaderOptions = {}) {
    this.#store = store;
    this.#capacity = options.capacity ?? 32 * 1024 * 1024;
    this.#clock = options.clock ?? systemClock;
  }

  /** How many derivations it remembers. */
  get remembered(): number {
    return this.#entries.size;
  }

  /**
   * The derivation at `path`. Waits while it is being imported.
   *
   * @throws KilnError `store.missing`, `store.damaged`, `drv.…`
   */
  async read(path: StorePath): Promise<Derivation> {
    if (this.#store.info(path) === undefined) (await this.#store.lock(path))[Symbol.dispose]();
    return this.readNow(path);
  }

  /** As {@link read}, without waiting. */
  readNow(path: StorePath): Derivation {
    if (!isDerivationPath(path)) {
      throw new KilnError("drv.notRealizable", `${path} is not a derivation`, { path });
    }
    const known = this.#entries.get(path);
    const info = known === undefined ? this.#store.info(path) : undefined;
    if (known === undefined ? info === undefined : !this.#store.has(path)) {
      throw new KilnError("store.missing", `derivation ${path} is not in the store`, { path });
    }
    if (known !== undefined) {
      this.#entries.delete(path);
      this.#entries.set(path, { ...known, usedAt: this.#clock.monotonic() });
      return known.derivation;
    }
    const bytes = this.#bytesOf(path);
    if (info?.ca?.method === "text" && !sha256(bytes).equals(info.ca.hash)) {
      throw new KilnError("store.damaged", `derivation ${path} is not what was registered`, {
        path,
        hint: "import it again",
      });
    }
    return this.#remember(path, bytes);
  }

  #bytesOf(path: StorePath): Buffer {
    const file = this.#store.realPath(path);
    try {
      return readFileSync(file);
    } catch (error) {
      throw fileError("read", file, error);
    }
  }

  #remember(path: StorePath, bytes: Buffer): Derivation {
    let derivation: Derivation;
    try {
      derivation = parseDerivation(this.#store.directory, derivationNameOf(path), bytes);
    } catch (error) {
      if (!(error instanceof KilnError)) throw error;
      throw new KilnError(error.code, `${path}: ${error.message}`, { path, cause: error });
    }
    const usedAt = this.#clock.monotonic();
    this.#entries.set(path, { derivation, size: bytes.length, usedAt });
    this.#size += bytes.length;
    for (const [oldest, entry] of this.#entries) {
      const isKept = this.#size <= this.#capacity && usedAt - entry.usedAt <= memory;
      if (isKept || oldest === path) break;
      this.#entries.delete(oldest);
      this.#size -= entry.size;
    }
    return derivation;
  }
}
