/**
 * Reading a store database of zb's: v0.1.0 (schema 3) and v0.2 (schemas 4 and 5). Nothing in it is changed, but that what a killed
 * zb left in its write-ahead log goes into the file.
 *
 * The tables: zb's `internal/backend/sql/schema/`.
 */
import { Buffer } from "node:buffer";
import { statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { KilnError } from "../../util/kiln-error.ts";
import { databaseError } from "../database/error.ts";
import { applicationID } from "../database/identity.ts";
import { bytesIn, integerIn, optionalIntegerIn, optionalTextIn, textIn } from "../database/row.ts";
import { Statement, type Row } from "../database/statement.ts";

/** An object as zb registered it; what the texts say is not checked yet. */
export interface ZbObject {
  readonly path: string;
  /** `sha256-…`; undefined when zb does not know it. */
  readonly narHash: string | undefined;
  readonly narSize: number;
  /** Undefined stands for a source address. */
  readonly ca: string | undefined;
  /** The object itself included, if it refers to itself. */
  readonly references: readonly string[];
}

/** A hash of derivations: of which kind and what bytes. */
export interface ZbDerivationHash {
  readonly algorithm: string;
  readonly bits: Buffer;
}

/** An output of derivations with a hash. */
export interface ZbClass {
  readonly hash: ZbDerivationHash;
  readonly output: string;
}

export interface ZbRealization extends ZbClass {
  readonly path: string;
  /** `producer` is undefined for a source. */
  readonly references: readonly {
    readonly path: string;
    readonly producer: ZbClass | undefined;
  }[];
  readonly signatures: readonly {
    readonly format: string;
    readonly publicKey: Buffer;
    readonly signature: Buffer;
  }[];
}

/** Times are milliseconds since the Unix epoch. */
export interface ZbBuild {
  /** UUID, lower case. */
  readonly id: string;
  readonly startedAt: number | undefined;
  readonly endedAt: number | undefined;
  readonly failure: string | undefined;
  /** Set for a `zb.expand` that went well. */
  readonly expansion:
    | { readonly builder: string; readonly args: unknown; readonly env: unknown }
    | undefined;
  readonly results: readonly ZbResult[];
}

export interface ZbResult {
  readonly drvPath: string;
  /** `active`, `success`, `fail` or `error`. */
  readonly status: string;
  readonly startedAt: number | undefined;
  readonly builderStartedAt: number | undefined;
  readonly builderEndedAt: number | undefined;
  readonly endedAt: number | undefined;
  readonly hash: ZbDerivationHash | undefined;
  /** Null for what was not made. */
  readonly outputs: ReadonlyMap<string, string | null>;
}

/** Schemas that zb v0.1.0 and v0.2 leave behind. */
const oldest = 3;
const newest = 5;

/** A heartbeat younger than this, in milliseconds, is a living daemon's: zb v0.2 writes one each five seconds. */
const heartbeatAge = 10_000;

export class ZbDatabase implements Disposable {
  /** The file. */
  readonly path: string;
  readonly #sql: DatabaseSync;
  readonly #version: number;

  private constructor(path: string, sql: DatabaseSync) {
    this.path = path;
    this.#sql = sql;
    this.#version = versionOf(sql, path);
  }

  /**
   * Opens the database, and keeps zb's daemon from starting on it until it is closed. `now` is the present time in milliseconds
   * since the Unix epoch.
   *
   * @throws KilnError `zb.running` while zb's daemon runs, or ran a moment ago; `zb.adopted` for a database of Kiln's; `zb.absent`,
   *   `zb.foreign`, `zb.version`, `database.…`
   */
  static open(path: string, now: number): ZbDatabase {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) {
      throw new KilnError("zb.absent", `there is no database ${path}`, { path });
    }
    let sql: DatabaseSync | undefined;
    try {
      sql = new DatabaseSync(path, { timeout: 1000 });
      const database = new ZbDatabase(path, sql);
      lock(sql, path);
      database.#refuseHeartbeat(now);
      return database;
    } catch (error) {
      if (sql?.isOpen === true) sql.close();
      throw databaseError(error, path);
    }
  }

  /** Puts everything into the file itself, so that it is whole without those beside it. */
  checkpoint(): void {
    try {
      this.#sql.exec("pragma wal_checkpoint(truncate)");
    } catch (error) {
      throw databaseError(error, this.path);
    }
  }

  close(): void {
    if (this.#sql.isOpen) this.#sql.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  *objects(): Generator<ZbObject> {
    const references = this.#prepare(
      `select paths.path from "references" join paths on paths.id = reference where referrer = ? order by paths.path`,
    );
    const objects = this.#prepare(
      "select objects.id, paths.path, nar_hash, nar_size, ca from objects join paths using (id) order by paths.path",
    );
    for (const row of objects.iterate()) {
      yield {
        path: textIn(row, "path"),
        narHash: optionalTextIn(row, "nar_hash"),
        narSize: integerIn(row, "nar_size"),
        ca: optionalTextIn(row, "ca"),
        references: references
          .all(integerIn(row, "id"))
          .map((reference) => textIn(reference, "path")),
      };
    }
  }

  *realizations(): Generator<ZbRealization> {
    const references = this.#prepare(
      `select distinct paths.path, algorithm, bits, reference_output_name
       from reference_classes
         join paths on paths.id = reference
         left join drv_hashes on drv_hashes.id = reference_drv_hash
       where referrer_drv_hash = ? and referrer_output_name = ? and referrer = ?`,
    );
    const signatures =
      this.#version < 4
        ? undefined
        : this.#prepare(
            `select format, public_key, signature
             from signatures join signature_public_keys as keys on keys.id = public_key_id
             where drv_hash = ? and output_name = ? and output_path = ? and signature is not null`,
          );
    const realizations = this.#prepare(
      `select drv_hash, algorithm, bits, output_name, output_path, paths.path
       from realizations
         join drv_hashes on drv_hashes.id = drv_hash
         join paths on paths.id = output_path`,
    );
    for (const row of realizations.iterate()) {
      const key = [
        integerIn(row, "drv_hash"),
        textIn(row, "output_name"),
        integerIn(row, "output_path"),
      ] as const;
      yield {
        ...classIn(row, "output_name"),
        path: textIn(row, "path"),
        references: references.all(...key).map((reference) => ({
          path: textIn(reference, "path"),
          producer:
            reference["bits"] === null ? undefined : classIn(reference, "reference_output_name"),
        })),
        signatures: (signatures?.all(...key) ?? []).map((signature) => ({
          format: textIn(signature, "format"),
          publicKey: bytesIn(signature, "public_key"),
          signature: bytesIn(signature, "signature"),
        })),
      };
    }
  }

  /** By start. */
  *builds(): Generator<ZbBuild> {
    const results = this.#prepare(
      `select results.id, paths.path, status, started_at, builder_started_at, builder_ended_at, ended_at,
         ${this.#version < 4 ? "null as algorithm, null as bits" : "algorithm, bits"}
       from build_results as results
         join paths on paths.id = drv_path
         ${this.#version < 4 ? "" : "left join drv_hashes on drv_hashes.id = drv_hash"}
       where build_id = ?`,
    );
    const outputs = this.#prepare(
      `select output_name, paths.path from build_outputs left join paths on paths.id = output_path
       where result_id = ? order by output_name`,
    );
    const builds = this.#prepare(
      `select id, lower(hex(uuid)) as uuid, started_at, ended_at, internal_error, expand_builder, expand_args, expand_env
       from builds order by started_at, id`,
    );
    for (const row of builds.iterate()) {
      const builder = optionalTextIn(row, "expand_builder");
      yield {
        id: uuidText(textIn(row, "uuid")),
        startedAt: optionalIntegerIn(row, "started_at"),
        endedAt: optionalIntegerIn(row, "ended_at"),
        failure: optionalTextIn(row, "internal_error"),
        expansion:
          builder === undefined
            ? undefined
            : { builder, args: jsonIn(row, "expand_args"), env: jsonIn(row, "expand_env") },
        results: results.all(integerIn(row, "id")).map((result) => ({
          drvPath: textIn(result, "path"),
          status: textIn(result, "status"),
          startedAt: optionalIntegerIn(result, "started_at"),
          builderStartedAt: optionalIntegerIn(result, "builder_started_at"),
          builderEndedAt: optionalIntegerIn(result, "builder_ended_at"),
          endedAt: optionalIntegerIn(result, "ended_at"),
          hash: result["bits"] === null ? undefined : hashIn(result),
          outputs: new Map(
            outputs
              .all(integerIn(result, "id"))
              .map((output) => [
                textIn(output, "output_name"),
                optionalTextIn(output, "path") ?? null,
              ]),
          ),
        })),
      };
    }
  }

  #prepare(sql: string): Statement {
    try {
      return new Statement(this.#sql.prepare(sql), this.path);
    } catch (error) {
      throw databaseError(error, this.path);
    }
  }

  #refuseHeartbeat(now: number): void {
    if (this.#version < 5) return;
    const row = this.#prepare("select max(running_as_of) as time from running_server").get() ?? {};
    const time = optionalIntegerIn(row, "time");
    if (time === undefined || Math.abs(now - time) >= heartbeatAge) return;
    throw running(this.path, "its daemon was alive less than 10 seconds ago");
  }
}

/** zb's daemon holds a shared lock on the file for as long as it runs: then this one is not to be had. */
function lock(sql: DatabaseSync, path: string): void {
  try {
    sql.exec("pragma locking_mode = exclusive; begin exclusive; commit");
  } catch (error) {
    const failure = databaseError(error, path);
    if (failure.code !== "database.locked") throw failure;
    throw running(path, "another program has it open, most likely zb's daemon", failure);
  }
}

function running(path: string, why: string, cause?: unknown): KilnError {
  return new KilnError("zb.running", `zb's database ${path} is in use: ${why}`, {
    kind: "internal",
    path,
    hint: "stop zb serve first",
    cause,
  });
}

function versionOf(sql: DatabaseSync, path: string): number {
  const application = Number(sql.prepare("pragma application_id").get()?.["application_id"]);
  const version = Number(sql.prepare("pragma user_version").get()?.["user_version"]);
  if (application === applicationID) {
    throw new KilnError("zb.adopted", `${path} is a database of Kiln's, not of zb's`, { path });
  }
  const tables = sql.prepare("select name from sqlite_master where type = 'table'").all();
  const names = new Set(tables.map((row) => row["name"]));
  if (application !== 0 || !names.has("paths") || !names.has("drv_hashes")) {
    throw new KilnError("zb.foreign", `${path} is not a store database of zb's`, { path });
  }
  if (version < oldest || version > newest) {
    throw new KilnError(
      "zb.version",
      `zb's database ${path} has the schema ${version}; known are ${oldest} (zb v0.1.0) to ${newest} (v0.2)`,
      { path, hint: version < oldest ? "let zb v0.1.0 open it once" : "use a newer Kiln" },
    );
  }
  return version;
}

function classIn(row: Row, output: string): ZbClass {
  return { hash: hashIn(row), output: textIn(row, output) };
}

function hashIn(row: Row): ZbDerivationHash {
  return { algorithm: textIn(row, "algorithm"), bits: Buffer.from(bytesIn(row, "bits")) };
}

function uuidText(hex: string): string {
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function jsonIn(row: Row, column: string): unknown {
  const text = optionalTextIn(row, column);
  return text === undefined ? undefined : JSON.parse(text);
}
