import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { StoreLock } from "./locks.ts";

const holder = `
  import { StoreLock } from ${JSON.stringify(new URL("./locks.ts", import.meta.url).href)};
  await StoreLock.acquire(process.argv[1], "/store");
  console.log("held");
  setInterval(() => {}, 1000);
`;

test("a lock held by another process is refused with its id, and free at once after kill -9", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-lock-");
  const file = join(folder.path, "lock");
  const child = spawn(process.execPath, ["--input-type=module", "--eval", holder, file], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  await assert.rejects(
    StoreLock.acquire(file, "/store"),
    (error) =>
      hasCode(error, "store.locked") &&
      error.message === `the store /store is in use by process ${child.pid}`,
  );
  const waited: unknown[] = [];
  const waiting = StoreLock.acquire(file, "/store", {
    onWait: (pid) => {
      waited.push(pid);
      child.kill("SIGKILL");
    },
  });
  const exit = once(child, "exit");
  using lock = await waiting;
  await exit;
  assert.deepEqual(waited, [child.pid]);
  lock.release();
});

test("a lock cannot be taken twice in one process, and can be again after it was given back", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-lock-");
  const file = join(folder.path, "lock");
  const first = await StoreLock.acquire(file, "/store");
  await assert.rejects(
    StoreLock.acquire(file, "/store"),
    (error) =>
      hasCode(error, "store.locked") &&
      error.message.includes("already open in this process") &&
      error.hint === "one Server at a time owns a store: share it, or close it first",
  );
  first.release();
  first.release();
  (await StoreLock.acquire(file, "/store")).release();
});

test("waiting for a lock ends with its signal", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-lock-");
  const file = join(folder.path, "lock");
  using _held = await StoreLock.acquire(file, "/store");
  const abort = new AbortController();
  const waiting = StoreLock.acquire(file, "/store", {
    signal: abort.signal,
    onWait: () => abort.abort(),
  });
  await assert.rejects(waiting, { name: "AbortError" });
});

test("a holder whose id is not known is another process", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-lock-");
  const file = join(folder.path, "lock");
  using _held = await StoreLock.acquire(file, "/store");
  writeFileSync(`${file}.pid`, "12x\n");
  await assert.rejects(StoreLock.acquire(file, "/store"), /in use by another process/);
});
