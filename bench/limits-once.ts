/**
 * Measures this machine's limits once, and prints them as JSON.
 *
 *     node bench/limits-once.ts FOLDER
 *
 * In a process of its own: one that holds large objects takes ten times as long to fork.
 */
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { many } from "../test/support/brief.ts";
import { leastBuilds } from "./least-builds.ts";
import { links, sandboxes, shells } from "./limits-of-builds.ts";
import { sending } from "./limits-of-exports.ts";
import { receiving } from "./limits-of-imports.ts";
import type { Limit } from "./limits.ts";

const [folder = "."] = process.argv.slice(2);
const limits: Limit[] = [
  hashing(),
  ...writing(folder),
  await sending(join(folder, "large"), many(512) * 1024 * 1024),
  // In its place, and its memory.
  await receiving(join(folder, "large"), many(512) * 1024 * 1024),
  database(folder),
  starting(),
  await shells(folder),
  await links(folder),
  ...(await leastBuilds(folder)),
  await sandboxes(),
];
truncateSync(join(folder, "large"));
console.log(JSON.stringify(limits));

function seconds(work: () => void): number {
  const begin = performance.now();
  work();
  return (performance.now() - begin) / 1000;
}

function hashing(): Limit {
  const block = randomBytes(1024 * 1024);
  const hash = createHash("sha256");
  const time = seconds(() => {
    for (let count = 0; count < many(256); count++) hash.update(block);
  });
  return { what: "SHA-256, one thread", value: (many(256) * 1.048576) / time, unit: "MB/s" };
}

function writing(folder: string): Limit[] {
  const block = randomBytes(1024 * 1024);
  // Memory that nobody had for a while may take long to be had: the first time does not count.
  const [, large = Number.NaN] = [1, 2].map(() => {
    const file = openSync(join(folder, "large"), "w");
    const time = seconds(() => {
      for (let count = 0; count < many(512); count++) writeSync(file, block);
      fsyncSync(file);
    });
    closeSync(file);
    return time;
  });
  const small = block.subarray(0, 4096);
  const files = seconds(() => {
    for (let count = 0; count < many(2000); count++) {
      const one = openSync(join(folder, `f${count}`), "wx");
      writeSync(one, small);
      closeSync(one);
    }
  });
  const synced = openSync(join(folder, "synced"), "w");
  const syncs = seconds(() => {
    for (let count = 0; count < many(50); count++) {
      writeSync(synced, small);
      fsyncSync(synced);
    }
  });
  closeSync(synced);
  return [
    { what: "512 MiB written and synced", value: (many(512) * 1.048576) / large, unit: "MB/s" },
    { what: "files of 4 KiB created", value: many(2000) / files, unit: "files/s" },
    { what: "fsync after 4 KiB", value: (syncs / many(50)) * 1000, unit: "ms" },
  ];
}

function database(folder: string): Limit {
  const sql = new DatabaseSync(join(folder, "db"));
  sql.exec("pragma journal_mode = wal; create table t (a integer primary key, b text)");
  const insert = sql.prepare("insert into t (b) values (?)");
  const time = seconds(() => {
    sql.exec("begin");
    for (let count = 0; count < many(50_000); count++) insert.run(`row ${count}`);
    sql.exec("commit");
  });
  sql.close();
  return { what: "SQLite rows inserted", value: many(50_000) / time, unit: "rows/s" };
}

function starting(): Limit {
  const time = seconds(() => {
    for (let count = 0; count < many(100); count++) spawnSync("/bin/true");
  });
  return { what: "fork and exec from Node", value: many(100) / time, unit: "per s" };
}
