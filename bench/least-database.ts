/** What a database is told of one build at least, in the store's own tables, by nobody but this. */
import { closeSync, fsync, openSync, readdirSync, readFileSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { promisify } from "node:util";
import { SharedRun } from "../src/util/shared-run.ts";

const sync = promisify(fsync);
const schema = new URL("../src/store/database/schema/", import.meta.url);

const statements = {
  announce: "insert into intents (path, foretells, created_at) values (?, 1, 1)",
  clear: "delete from intents where path = ?",
  object: `insert into objects (path, nar_hash, nar_size, ca, registered_at, verified_at)
    values (?, ?, 120, 'text', 1, 1)`,
  result: `insert into results (build, derivation, name, state, started_at)
    values ('build', ?, ?, 'built', 1) returning id`,
  output: "insert into result_outputs (result, name, path) values (?, 'out', ?)",
  class: "insert into classes (derivation_hash, output) values (?, 'out') returning id",
  realization: `insert into realizations (class, path, reference_set, created_at)
    values (?, ?, ?, 1)`,
} as const;

export class LeastDatabase implements Disposable {
  readonly #sql: DatabaseSync;
  readonly #log: number;
  readonly #sync: SharedRun;
  readonly #prepared = new Map<keyof typeof statements, StatementSync>();

  /** A new one at `path`. */
  constructor(path: string) {
    this.#sql = new DatabaseSync(path);
    this.#sql.exec("pragma journal_mode = wal; pragma synchronous = normal");
    this.#sql.exec("pragma wal_autocheckpoint = 0; pragma temp_store = memory");
    for (const name of readdirSync(schema).toSorted()) {
      this.#sql.exec(readFileSync(new URL(name, schema), "utf8"));
    }
    this.#sql.exec(
      "insert into builds (id, kind, state, started_at) values ('build', 'realize', 'running', 1)",
    );
    this.#log = openSync(`${path}-wal`, "r");
    this.#sync = new SharedRun(() => sync(this.#log));
  }

  /** That names are about to appear; resolves when that is on disk. */
  async announce(paths: readonly string[]): Promise<void> {
    await this.#durably(() => {
      for (const path of paths) this.#run("announce", path);
    });
  }

  /** What came out, and that its name is there; resolves when that is on disk. */
  async record(build: { made: string; kept: string; hash: Uint8Array }): Promise<void> {
    const { made, kept, hash } = build;
    await this.#durably(() => {
      this.#run("object", kept, hash);
      this.#run("clear", made);
      this.#run("output", this.#id("result", kept, kept), kept);
      this.#run("realization", this.#id("class", hash), kept, hash);
    });
  }

  [Symbol.dispose](): void {
    closeSync(this.#log);
    this.#sql.close();
  }

  async #durably(write: () => void): Promise<void> {
    this.#sql.exec("begin immediate");
    write();
    this.#sql.exec("commit");
    await this.#sync.run();
  }

  #run(name: keyof typeof statements, ...values: (string | number | Uint8Array)[]): void {
    this.#statement(name).run(...values);
  }

  #id(name: "result" | "class", ...values: (string | Uint8Array)[]): number {
    return Number(this.#statement(name).get(...values)?.["id"]);
  }

  #statement(name: keyof typeof statements): StatementSync {
    const known = this.#prepared.get(name) ?? this.#sql.prepare(statements[name]);
    this.#prepared.set(name, known);
    return known;
  }
}
