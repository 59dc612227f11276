import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { BuildUsers } from "./build-users.ts";

const users = [
  { uid: 54_321, gid: 54_300 },
  { uid: 54_322, gid: 54_300 },
];

test("without build users everybody runs as the server does", async () => {
  const none = new BuildUsers([]);
  assert.equal((await none.acquire()).user, undefined);
  assert.equal((await none.acquire()).user, undefined);
});

test("no two have the same one at a time", async () => {
  const pool = new BuildUsers(users);
  const held = await Promise.all([pool.acquire(), pool.acquire()]);
  assert.deepEqual(new Set(held.map(({ user }) => user)), new Set(users));
});

test("whoever finds none free waits, until one is given back or nobody wants it any more", async () => {
  const pool = new BuildUsers(users.slice(0, 1));
  const first = await pool.acquire();
  const stop = new AbortController();
  const impatient = pool.acquire(stop.signal);
  const patient = pool.acquire();
  stop.abort(new Error("enough"));
  await assert.rejects(impatient, /enough/);
  first[Symbol.dispose]();
  using second = await patient;
  assert.deepEqual(second.user, users[0]);
});

test(
  "what a user has left running is ended before the next builder",
  { skip: process.geteuid?.() !== 0 && "only root can run programs as others" },
  async () => {
    const pool = new BuildUsers(users.slice(0, 1));
    const before = await pool.acquire();
    const ids = ["--reuid=54321", "--regid=54300", "--clear-groups"];
    const script = "trap '' TERM; echo up; while :; do sleep 1; done";
    const left = spawn("setpriv", [...ids, "sh", "-c", script], {
      stdio: ["ignore", "pipe", "inherit"],
      detached: true,
    });
    const ended = once(left, "exit");
    await once(left.stdout, "data");
    before[Symbol.dispose]();
    using _next = await pool.acquire();
    const [, signal] = (await ended) as [number | null, NodeJS.Signals | null];
    assert.equal(signal, "SIGKILL");
  },
);
