/** Databases as zb makes them, for tests: the columns that are read, with zb's names. */
import { DatabaseSync } from "node:sqlite";
import { printContentAddress } from "../../format/content-address.ts";
import type { ObjectInfo } from "../../format/object-info.ts";

const schema = `
  create table paths (id integer primary key not null, path text unique not null);
  create table objects (id integer primary key references paths, nar_size integer not null, nar_hash text, ca text);
  create table "references" (referrer integer not null, reference integer not null, primary key (referrer, reference)) without rowid;
  create table drv_hashes (id integer primary key not null, algorithm text not null, bits blob not null, unique (algorithm, bits));
  create table realizations (drv_hash integer not null, output_name text not null, output_path integer not null,
    primary key (drv_hash, output_name, output_path)) without rowid;
  create table reference_classes (id integer primary key not null, referrer integer not null, referrer_drv_hash integer not null,
    referrer_output_name text not null, reference integer not null, reference_drv_hash integer, reference_output_name text);
  create table builds (id integer primary key not null, uuid blob unique not null, started_at integer, ended_at integer,
    internal_error text, expand_builder text, expand_args text, expand_env text);
  create table build_results (id integer primary key not null, build_id integer not null, drv_path integer not null,
    status text not null, started_at integer, builder_started_at integer, builder_ended_at integer, ended_at integer);
  create table build_outputs (result_id integer not null, output_name text not null, output_path integer,
    primary key (result_id, output_name)) without rowid;
  pragma user_version = 3;`;

const additions = `
  alter table build_results add column drv_hash integer references drv_hashes;
  create table signature_public_keys (id integer primary key not null, format text not null, public_key blob not null);
  create table signatures (id integer primary key not null, drv_hash integer not null, output_name text not null,
    output_path integer not null, public_key_id integer, signature blob);
  create table running_server (running_as_of integer);
  pragma user_version = 5;`;

/** Writes a database of zb v0.1.0 or v0.2. */
export class ZbWriter implements Disposable {
  readonly file: string;
  readonly sql: DatabaseSync;

  /** Without a version, one that is there. */
  constructor(file: string, version?: "v0.1.0" | "v0.2") {
    this.file = file;
    this.sql = new DatabaseSync(file);
    if (version === undefined) return;
    this.sql.exec("pragma journal_mode = wal");
    this.sql.exec(schema);
    if (version === "v0.2") this.sql.exec(additions);
  }

  path(path: string): number {
    this.sql.prepare("insert or ignore into paths (path) values (?)").run(path);
    return Number(this.sql.prepare("select id from paths where path = ?").get(path)?.["id"]);
  }

  object(info: ObjectInfo): void {
    const id = this.path(info.storePath);
    this.sql
      .prepare("insert into objects (id, nar_size, nar_hash, ca) values (?, ?, ?, ?)")
      .run(id, info.narSize, info.narHash.sri(), info.ca ? printContentAddress(info.ca) : null);
    for (const reference of info.references) {
      this.sql.prepare(`insert into "references" values (?, ?)`).run(id, this.path(reference));
    }
  }

  hash(bits: Buffer, algorithm = "sha256"): number {
    this.sql
      .prepare("insert or ignore into drv_hashes (algorithm, bits) values (?, ?)")
      .run(algorithm, bits);
    return Number(this.sql.prepare("select id from drv_hashes where bits = ?").get(bits)?.["id"]);
  }

  realization(hash: number, output: string, path: string): void {
    this.sql
      .prepare("insert into realizations values (?, ?, ?)")
      .run(hash, output, this.path(path));
  }

  [Symbol.dispose](): void {
    if (this.sql.isOpen) this.sql.close();
  }
}
