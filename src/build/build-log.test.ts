import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseStorePath } from "../format/store-path.ts";
import {
  appendToLog,
  BuildLog,
  indexPath,
  lastLines,
  logPath,
  maxLogChunk,
  readLogFile,
} from "./build-log.ts";

function folder(): { path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "kiln-log-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

test("a log lies under its build's id and is named for its derivation", () => {
  const drv = parseStorePath(`/s/${"0".repeat(32)}-a.drv`);
  assert.equal(logPath("/logs", "0190-x", drv), `/logs/0190/0190-x/${"0".repeat(32)}-a.txt`);
});

test("a log is made once, readable by all, and holds what was written in order", async () => {
  using temp = folder();
  const path = join(temp.path, "a", "b", "log.txt");
  using log = new BuildLog(path);
  log.write(Buffer.from("one\ntw"));
  log.write(Buffer.from("o\n"));
  log.line("*** Build failed");
  assert.equal(log.size, 25);
  log.finish();
  assert.equal(readFileSync(path, "utf8"), "one\ntwo\n*** Build failed\n");
  assert.equal(statSync(path).mode & 0o777, 0o644);
  assert.throws(() => new BuildLog(path).line("again"), { code: "log.write" });
  assert.equal(existsSync(indexPath(path)), false);
});

test("a builder that says nothing leaves no file", () => {
  using temp = folder();
  const path = join(temp.path, "log.txt");
  using log = new BuildLog(path);
  log.finish();
  assert.equal(log.size, 0);
  assert.equal(existsSync(path), false);
});

test("readers wake when bytes come, when the log ends, and when they are told to stop", async () => {
  using temp = folder();
  using log = new BuildLog(join(temp.path, "log.txt"));
  const first = log.beyond(0);
  log.write(Buffer.from("x"));
  await first;
  await log.beyond(0);
  const controller = new AbortController();
  const impatient = log.beyond(1, controller.signal);
  controller.abort(new Error("enough"));
  await assert.rejects(impatient, { message: "enough" });
  const second = log.beyond(1);
  log.finish();
  await second;
  await log.beyond(99);
});

test("the index tells where every thousandth line begins, however the bytes were cut", () => {
  using temp = folder();
  const path = join(temp.path, "log.txt");
  using log = new BuildLog(path);
  const text = Buffer.from(Array.from({ length: 3500 }, (_, i) => `line ${i}\n`).join(""));
  for (let at = 0; at < text.length; at += 777) log.write(text.subarray(at, at + 777));
  log.finish();
  const index = readFileSync(indexPath(path));
  const offsets = [0, 8, 16].map((at) => Number(index.readBigUInt64LE(at)));
  assert.equal(index.length, 24);
  assert.deepEqual(
    offsets.map((offset) => text.toString("utf8", offset).split("\n")[0]),
    ["line 1000", "line 2000", "line 3000"],
  );
});

test("a part of a log is read by offset, at most 64 KiB at once", async () => {
  using temp = folder();
  const path = join(temp.path, "log.txt");
  using log = new BuildLog(path);
  log.write(Buffer.alloc(maxLogChunk + 10, "x"));
  log.finish();
  const read = async (offset: number, length: number): Promise<number | undefined> =>
    (await readLogFile(path, offset, length))?.bytes.length;
  assert.equal(await read(0, Infinity), maxLogChunk);
  assert.equal(await read(maxLogChunk, Infinity), 10);
  assert.equal(await read(5, 3), 3);
  assert.equal(await read(maxLogChunk + 10, 3), 0);
  assert.equal(await read(maxLogChunk + 99, 3), 0);
  assert.equal(await readLogFile(join(temp.path, "none"), 0, 1), undefined);
});

test("the last lines of a log are whole lines", async () => {
  using temp = folder();
  const path = join(temp.path, "log.txt");
  assert.deepEqual(await lastLines(path, 2), []);
  appendToLog(path, "a\nb");
  appendToLog(path, "c");
  assert.deepEqual(await lastLines(path, 2), ["b", "c"]);
  assert.deepEqual(await lastLines(path, 9), ["a", "b", "c"]);
  appendToLog(path, "y".repeat(maxLogChunk - 2));
  assert.deepEqual(await lastLines(path, 9), ["y".repeat(maxLogChunk - 2)]);
});

test("what cannot be written is said with the file's name", () => {
  using temp = folder();
  appendToLog(join(temp.path, "file"), "not a folder");
  assert.throws(() => new BuildLog(join(temp.path, "file", "log.txt")).line("x"), {
    code: "log.write",
    kind: "internal",
  });
});
