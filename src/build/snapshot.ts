import { lstatSync } from "node:fs";
import type { StorePath } from "../format/store-path.ts";
import type {
  EquivalenceClass,
  Realization,
  RealizationSignature,
  RealizationTable,
  ReferenceClass,
} from "../store/database/realizations.ts";
import type { Store } from "../store/store.ts";
import type { RealizationSnapshot } from "./choose-realization.ts";

/** A key that signs realisations, as clients name it. */
export interface PublicKey {
  readonly format: string;
  /** Base64. */
  readonly publicKey: string;
}

/** Which earlier realisations a build may use: all, none, or those that one of these keys has signed. */
export type ReusePolicy = "all" | "none" | { readonly publicKeys: readonly PublicKey[] };

/** Whether a signature is a valid one of this realisation. */
export type SignatureCheck = (realization: Realization, signature: RealizationSignature) => boolean;

/** What the store knows now. Good for as long as nothing is awaited; what was found to be damaged stays so. */
export class StoreSnapshot implements RealizationSnapshot {
  readonly #store: Store;
  readonly #realizations: RealizationTable;
  readonly #policy: ReusePolicy;
  readonly #checkSignature: SignatureCheck;
  readonly #damaged = new Set<StorePath>();

  constructor(
    store: Store,
    realizations: RealizationTable,
    options: { readonly policy: ReusePolicy; readonly checkSignature: SignatureCheck },
  ) {
    this.#store = store;
    this.#realizations = realizations;
    this.#policy = options.policy;
    this.#checkSignature = options.checkSignature;
  }

  candidates(equivalence: EquivalenceClass): readonly StorePath[] {
    const policy = this.#policy;
    if (policy === "none") return [];
    if (policy === "all") return this.#realizations.paths(equivalence);
    const trusted = this.#realizations
      .realizations(equivalence)
      .filter((realization) => this.#isTrusted(realization, policy.publicKeys));
    return [...new Set(trusted.map(({ path }) => path))];
  }

  references(equivalence: EquivalenceClass, path: StorePath): readonly ReferenceClass[] {
    return this.#realizations.referenceClasses(equivalence, path);
  }

  isPresent(path: StorePath): boolean {
    if (this.#damaged.has(path) || !this.#store.has(path)) return false;
    return lstatSync(this.#store.realPath(path), { throwIfNoEntry: false }) !== undefined;
  }

  /** From now on `path` is not taken for present. */
  markDamaged(path: StorePath): void {
    this.#damaged.add(path);
  }

  /** It was made again. */
  markRepaired(path: StorePath): void {
    this.#damaged.delete(path);
  }

  #isTrusted(realization: Realization, keys: readonly PublicKey[]): boolean {
    return realization.signatures.some(
      (signature) =>
        keys.some(
          (key) =>
            key.format === signature.format &&
            key.publicKey === signature.publicKey.toString("base64"),
        ) && this.#checkSignature(realization, signature),
    );
  }
}
