/**
 * A look at a store from outside, by nothing of Kiln's own code: SQLite reads the rows, and the NARs are written here once more from
 * the format's description. What it finds wrong is a list of sentences.
 */
import { createHash, type Hash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

export interface Audited {
  /** The paths of all rows. */
  readonly paths: ReadonlySet<string>;
  readonly faults: readonly string[];
}

export interface AuditOptions {
  /** Where the objects are. */
  readonly store: string;
  readonly database: string;
  /** Names in the store directory that are nobody's. */
  readonly foreign?: readonly string[];
  /** Whether its daemon runs: then intents may be there that have served their purpose. Default false. */
  readonly isRunning?: boolean;
}

/** Every row has its object, byte for byte and with all it refers to; every name is a row's, or foreign; nothing is unfinished. */
export function audit({ store, database, foreign = [], isRunning = false }: AuditOptions): Audited {
  const faults: string[] = [];
  using sql = new DatabaseSync(database, { readOnly: true });
  const paths = new Set<string>();
  for (const row of sql.prepare("select path, nar_hash, nar_size from objects").all()) {
    const { path, nar_hash: hash, nar_size: size } = row;
    if (typeof path !== "string" || !(hash instanceof Uint8Array)) throw new Error("a strange row");
    paths.add(path);
    const fault = lookAt(join(store, nameIn(path)), Buffer.from(hash), Number(size));
    if (fault !== undefined) faults.push(`${path}: ${fault}`);
  }
  for (const name of readdirSync(store)) {
    const isKnown = name === ".kiln" || foreign.includes(name);
    if (!isKnown && ![...paths].some((path) => nameIn(path) === name)) faults.push(`stray ${name}`);
  }
  const checks: [question: string, what: string][] = [
    ["select count(*) as n from builds where ended_at is null", "builds without an end"],
    ["select count(*) as n from results where ended_at is null", "results without an end"],
    [
      "select count(*) as n from object_references where referent not in (select id from objects)",
      "references to nothing",
    ],
  ];
  if (!isRunning) checks.push(["select count(*) as n from intents", "open intents"]);
  for (const [question, what] of checks) {
    const count = Number(sql.prepare(question).get()?.["n"]);
    if (count !== 0) faults.push(`${count} ${what}`);
  }
  const [check] = sql.prepare("pragma integrity_check").all();
  if (check?.["integrity_check"] !== "ok") faults.push(`integrity: ${JSON.stringify(check)}`);
  return { paths, faults };
}

function nameIn(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function lookAt(tree: string, hash: Buffer, size: number): string | undefined {
  try {
    const nar = new PlainNar();
    nar.strings("nix-archive-1");
    nar.node(tree);
    const found = nar.hash.digest();
    if (nar.size !== size) return `${nar.size} bytes, not ${size}`;
    return found.equals(hash) ? undefined : "another NAR hash";
  } catch (error) {
    return String(error);
  }
}

class PlainNar {
  readonly hash: Hash = createHash("sha256");
  size = 0;

  strings(...all: readonly (string | Buffer)[]): void {
    for (const one of all) {
      const bytes = Buffer.from(one as string);
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(bytes.length));
      for (const part of [length, bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]) {
        this.hash.update(part);
        this.size += part.length;
      }
    }
  }

  /** Also sees to it that it is at rest: modes and times. */
  node(path: string): void {
    const stats = lstatSync(path);
    const mode = stats.mode & 0o7777;
    if (stats.isSymbolicLink()) {
      this.strings("(", "type", "symlink", "target", readlinkSync(path, "buffer"), ")");
      return;
    }
    if (stats.mtimeMs !== 0) throw new Error(`${path} has the time ${stats.mtimeMs}`);
    if (stats.isFile()) {
      if (mode !== 0o444 && mode !== 0o555) throw new Error(`${path} has the mode ${mode}`);
      const marks = mode === 0o555 ? ["executable", ""] : [];
      this.strings("(", "type", "regular", ...marks, "contents", readFileSync(path), ")");
      return;
    }
    if (!stats.isDirectory() || mode !== 0o555) throw new Error(`${path} has the mode ${mode}`);
    this.strings("(", "type", "directory");
    const names = readdirSync(path, "buffer").toSorted((a, b) => a.compare(b));
    for (const name of names) {
      this.strings("entry", "(", "name", name, "node");
      this.node(`${path}/${name.toString()}`);
      this.strings(")");
    }
    this.strings(")");
  }
}
