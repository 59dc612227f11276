import { readFileSync } from "node:fs";
import { fileError } from "../files/file-error.ts";
import type { Derivation } from "../format/derivation/derivation.ts";
import { parseDerivation } from "../format/derivation/parse.ts";
import { sha256 } from "../format/hash.ts";
import { derivationNameOf, isDerivationPath, type StorePath } from "../format/store-path.ts";
import type { Store } from "../store/store.ts";
import { KilnError } from "../util/kiln-error.ts";

interface Entry {
  readonly derivation: Derivation;
  readonly size: number;
}

/** Reads derivations of a store, and remembers those read last: derivations never change. */
export class DerivationReader {
  readonly #store: Store;
  readonly #capacity: number;
  /** The ones used last come last. */
  readonly #entries = new Map<StorePath, Entry>();
  #size = 0;

  /** `capacity`: bytes of derivations to remember. */
  constructor(store: Store, capacity: number = 32 * 1024 * 1024) {
    this.#store = store;
    this.#capacity = capacity;
  }

  /**
   * The derivation at `path`. Waits while it is being imported.
   *
   * @throws KilnError `store.missing`, `store.damaged`, `drv.…`
   */
  async read(path: StorePath): Promise<Derivation> {
    if (!this.#store.has(path)) (await this.#store.lock(path))[Symbol.dispose]();
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
      this.#entries.set(path, known);
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
    this.#entries.set(path, { derivation, size: bytes.length });
    this.#size += bytes.length;
    for (const [oldest, { size }] of this.#entries) {
      if (this.#size <= this.#capacity || oldest === path) break;
      this.#entries.delete(oldest);
      this.#size -= size;
    }
    return derivation;
  }
}
