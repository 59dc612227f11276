/** Realisations: which paths came out as which output of which derivations. */
import { Buffer } from "node:buffer";
import { Hash, sha256 } from "../../format/hash.ts";
import { parseStorePath, type StorePath } from "../../format/store-path.ts";
import { compareBytes } from "../../util/byte-string.ts";
import type { StoreDatabase } from "./open.ts";
import { bytesIn, integerIn, textIn } from "./row.ts";

declare const brand: unique symbol;

/**
 * An equivalence class: a derivation hash and the name of an output. As text, `<64 hex digits>!<output>`, so that it can be a key.
 * Only {@link equivalenceClass} makes one.
 */
export type EquivalenceClass = string & { readonly [brand]: "EquivalenceClass" };

/** The class of this output of derivations with this hash (SHA-256). */
export function equivalenceClass(derivationHash: Hash, output: string): EquivalenceClass {
  return classOf(derivationHash.bytes, output);
}

/** The two parts of a class. */
export function partsOfClass(equivalence: EquivalenceClass): {
  derivationHash: Hash;
  output: string;
} {
  return {
    derivationHash: Hash.of("sha256", Buffer.from(equivalence.slice(0, 64), "hex")),
    output: equivalence.slice(65),
  };
}

/** A direct reference of a realisation. */
export interface ReferenceClass {
  readonly path: StorePath;
  /** The class that produced `path`; undefined for a source. */
  readonly producer: EquivalenceClass | undefined;
}

export interface RealizationSignature {
  /** `ed25519`. */
  readonly format: string;
  readonly publicKey: Buffer;
  readonly signature: Buffer;
}

/** A path that came out as a member of `equivalence`. */
export interface Realization {
  readonly equivalence: EquivalenceClass;
  readonly path: StorePath;
  /** The object's direct references, itself excluded; one path may appear with several producers. */
  readonly references: readonly ReferenceClass[];
  readonly signatures: readonly RealizationSignature[];
}

export class RealizationTable {
  readonly #database: StoreDatabase;

  constructor(database: StoreDatabase) {
    this.#database = database;
  }

  /** The paths known for a class, whether their objects are there or not, sorted. */
  paths(equivalence: EquivalenceClass): StorePath[] {
    const rows = this.#database
      .prepare(
        `select distinct r.path from realizations r join classes c on c.id = r.class
         where c.derivation_hash = ? and c.output = ? order by r.path`,
      )
      .all(...keyOf(equivalence));
    return rows.map((row) => parseStorePath(textIn(row, "path")));
  }

  /** Direct references of `path` with the classes that produced them, over all its realisations in this class. */
  referenceClasses(equivalence: EquivalenceClass, path: StorePath): ReferenceClass[] {
    const rows = this.#database
      .prepare(
        `select distinct rc.path, producer.derivation_hash, producer.output
         from realizations r
           join classes c on c.id = r.class
           join reference_classes rc on rc.realization = r.id
           left join classes producer on producer.id = rc.class
         where c.derivation_hash = ? and c.output = ? and r.path = ?
         order by rc.path, producer.derivation_hash, producer.output`,
      )
      .all(...keyOf(equivalence), path);
    return rows.map((row) => ({
      path: parseStorePath(textIn(row, "path")),
      producer:
        row["derivation_hash"] === null
          ? undefined
          : classOf(bytesIn(row, "derivation_hash"), textIn(row, "output")),
    }));
  }

  /** Everything known about a class, with signatures, sorted by path. */
  realizations(equivalence: EquivalenceClass): Realization[] {
    const rows = this.#database
      .prepare(
        `select r.id, r.path from realizations r join classes c on c.id = r.class
         where c.derivation_hash = ? and c.output = ? order by r.path, r.id`,
      )
      .all(...keyOf(equivalence));
    return rows.map((row) => {
      const id = integerIn(row, "id");
      return {
        equivalence,
        path: parseStorePath(textIn(row, "path")),
        references: this.#referencesOf(id),
        signatures: this.#signaturesOf(id),
      };
    });
  }

  /** Whether anything is signed at all. */
  hasSignatures(): boolean {
    return this.#database.prepare("select 1 from signatures limit 1").get() !== undefined;
  }

  /** Signatures under any realisation of this path in this class. */
  signatures(equivalence: EquivalenceClass, path: StorePath): RealizationSignature[] {
    return this.realizations(equivalence)
      .filter((realization) => realization.path === path)
      .flatMap((realization) => realization.signatures);
  }

  /**
   * Records a realisation at time `now`. One with the same path and the same reference classes is the same realisation: signatures
   * are united. Call it within a transaction.
   */
  add(realization: Realization, now: number): void {
    const references = realization.references.toSorted(compareReferences);
    const set = referenceSet(references);
    const key = [this.#classID(realization.equivalence), realization.path, set] as const;
    const find = this.#database.prepare(
      "select id from realizations where class = ? and path = ? and reference_set = ?",
    );
    let row = find.get(...key);
    if (row === undefined) {
      this.#database
        .prepare(
          "insert into realizations (class, path, reference_set, created_at) values (?, ?, ?, ?)",
        )
        .run(...key, now);
      row = find.get(...key) ?? {};
      const id = integerIn(row, "id");
      const insert = this.#database.prepare(
        "insert or ignore into reference_classes (realization, path, class) values (?, ?, ?)",
      );
      for (const { path, producer } of references) {
        insert.run(id, path, producer === undefined ? null : this.#classID(producer));
      }
    }
    const id = integerIn(row, "id");
    const sign = this.#database.prepare(
      "insert or replace into signatures (realization, format, public_key, signature) values (?, ?, ?, ?)",
    );
    for (const { format, publicKey, signature } of realization.signatures) {
      sign.run(id, format, publicKey, signature);
    }
  }

  #referencesOf(realization: number): ReferenceClass[] {
    const rows = this.#database
      .prepare(
        `select rc.path, c.derivation_hash, c.output
         from reference_classes rc left join classes c on c.id = rc.class where rc.realization = ?
         order by rc.path, c.derivation_hash, c.output`,
      )
      .all(realization);
    return rows.map((row) => ({
      path: parseStorePath(textIn(row, "path")),
      producer:
        row["derivation_hash"] === null
          ? undefined
          : classOf(bytesIn(row, "derivation_hash"), textIn(row, "output")),
    }));
  }

  #signaturesOf(realization: number): RealizationSignature[] {
    const rows = this.#database
      .prepare(
        "select format, public_key, signature from signatures where realization = ? order by format, public_key",
      )
      .all(realization);
    return rows.map((row) => ({
      format: textIn(row, "format"),
      publicKey: bytesIn(row, "public_key"),
      signature: bytesIn(row, "signature"),
    }));
  }

  #classID(equivalence: EquivalenceClass): number {
    const key = keyOf(equivalence);
    this.#database
      .prepare("insert or ignore into classes (derivation_hash, output) values (?, ?)")
      .run(...key);
    const row = this.#database
      .prepare("select id from classes where derivation_hash = ? and output = ?")
      .get(...key);
    return integerIn(row ?? {}, "id");
  }
}

function classOf(derivationHash: Buffer, output: string): EquivalenceClass {
  const text = `${derivationHash.toString("hex")}!${output}`;
  assertClass(text);
  return text;
}

/** Only {@link classOf} makes texts of this form. */
function assertClass(_text: string): asserts _text is EquivalenceClass {}

function keyOf(equivalence: EquivalenceClass): [Buffer, string] {
  return [Buffer.from(equivalence.slice(0, 64), "hex"), equivalence.slice(65)];
}

function compareReferences(a: ReferenceClass, b: ReferenceClass): number {
  return compareBytes(a.path, b.path) || compareBytes(a.producer ?? "", b.producer ?? "");
}

/** The name of a sorted set of reference classes. Neither paths nor classes hold a blank or a line end. */
function referenceSet(sorted: readonly ReferenceClass[]): Buffer {
  const lines = sorted.map(({ path, producer }) => `${path} ${producer ?? ""}\n`);
  return sha256(lines.join("")).bytes;
}
