// However a sandboxed build ends, or its daemon: nothing of it is left.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Bench, daemonModes, processesWith, shellModes, waitUntil } from "./support/sandbox.ts";

/** Ignores SIGTERM, leaves its session twice, and writes on and on. */
const stubborn = `trap "" TERM HUP INT
  (setsid sh -c 'trap "" TERM HUP INT; (setsid sh -c "while :; do echo x >>$out; sleep 0.01; done" &) ; sleep 1000' &)
  mkdir -p deep/er && echo x >deep/er/file && chmod 000 deep
  echo ready; sleep 1000 & wait; sleep 1000`;

for (const mode of daemonModes) {
  test(`a sandbox ${mode.name} is not ended by a builder that ends its own group`, async () => {
    await using bench = await Bench.open(mode);
    const report = await bench.build({ script: "kill -KILL 0" });
    const expected = { type: "signaled", signal: "SIGKILL" };
    assert.deepEqual(report.outcome, expected, report.error?.message);
  });
}

for (const mode of [...daemonModes, ...shellModes]) {
  describe(`a sandbox ${mode.name}`, { concurrency: false }, () => {
    test("lets a cancelled builder clean up", async () => {
      await using bench = await Bench.open(mode);
      const report = await bench.build({
        script: "trap 'echo bye; exit 0' TERM; echo ready; sleep 1000 & wait",
        cancelAt: "ready",
      });
      assert.equal(report.error?.code, "build.cancelled");
      assert.equal(report.log, "ready\nbye\n");
      assert.deepEqual(report.left, []);
      assert.ok(report.durationMs < 3000, `${report.durationMs} ms`);
    });

    test("ends a cancelled builder that will not, after the grace time", async () => {
      await using bench = await Bench.open(mode, { grace: 300 });
      const report = await bench.build({ script: stubborn, cancelAt: "ready" });
      assert.equal(report.error?.code, "build.cancelled");
      assert.deepEqual(report.left, []);
      assert.ok(report.durationMs > 300 && report.durationMs < 3000, `${report.durationMs} ms`);
    });

    test("ends a cancelled builder that has killed whatever else it could", async () => {
      await using bench = await Bench.open(mode, { grace: 300 });
      const script = `trap "" TERM; kill -KILL -1; (setsid sleep 1000 &); echo ready; sleep 1000`;
      const report = await bench.build({ script, cancelAt: "ready" });
      assert.equal(report.error?.code, "build.cancelled");
      assert.deepEqual(report.left, []);
      assert.ok(report.durationMs < 3000, `${report.durationMs} ms`);
    });

    test("is given up when it is cancelled before it is made", async () => {
      await using bench = await Bench.open(mode);
      const report = await bench.build({ script: "echo built", cancelAfter: 1 });
      assert.deepEqual([report.error?.code, report.log], ["build.cancelled", ""]);
      assert.deepEqual(report.left, []);
    });

    test("says so when somebody else ends it", async () => {
      await using bench = await Bench.open(mode);
      const mark = randomUUID();
      const running = bench.build({ script: stubborn, env: { MARK: mark } });
      await waitUntil(() => processesWith(mark).length >= 3);
      const first = firstProcess(bench);
      assert.equal(first.length, 1);
      for (const pid of first) process.kill(pid, "SIGKILL");
      const report = await running;
      assert.equal(report.error?.code, "sandbox.killed");
      assert.deepEqual([report.left, processesWith(mark)], [[], []]);
      assert.equal((await bench.build({ script: "echo x >$out" })).output?.content, "x\n");
    });

    test("is gone when what waits for it is killed", async () => {
      await using bench = await Bench.open(mode);
      const mark = randomUUID();
      const running = bench.build({ script: stubborn, env: { MARK: mark } });
      await waitUntil(() => processesWith(mark).length >= 3);
      for (const pid of waiting(bench)) process.kill(pid, "SIGKILL");
      const report = await running;
      assert.equal(report.error?.code, "sandbox.killed");
      assert.deepEqual([report.left, processesWith(mark)], [[], []]);
    });

    test("dies with a daemon that is killed, at whatever moment, and the next one clears up", async () => {
      let folder: string | undefined;
      for (let round = 0; round < 8; round++) {
        const bench = await Bench.open(mode, {}, folder);
        folder = bench.folder;
        const mark = randomUUID();
        const running = bench.build({ script: stubborn, env: { MARK: mark } }).catch(() => {});
        // The first rounds hit the making of the sandbox, the others the builder.
        const isThere = (): boolean => processesWith(mark).length >= 3;
        const isBegun = (): boolean => processesWith(`SLOT=${bench.folder}`).length > round;
        try {
          await waitUntil(() => isThere() || (round < 4 && isBegun()));
        } finally {
          await bench.kill();
        }
        await running;
        const time = await waitUntil(() => left(mark, bench.folder).length === 0);
        assert.ok(time < 2000, `${time} ms`);
        assert.deepEqual(mountsBelow(bench.folder), []);
      }
      await using bench = await Bench.open(mode, {}, folder);
      const report = await bench.build({ script: "echo again >$out" });
      assert.equal(report.output?.content, "again\n");
      const sandbox = join(bench.folder, "store", ".kiln", "sandbox");
      await waitUntil(() => readdirSync(join(sandbox, "trash")).length === 0);
      assert.deepEqual(readdirSync(join(sandbox, "slots")), ["0"]);
      assert.equal(readdirSync(sandbox).filter((name) => name.startsWith("fifo-")).length, 1);
    });

    test("leaves no folder behind when its daemon stops in order", async () => {
      await using bench = await Bench.open(mode);
      await bench.build({ script: ":", inputs: [await bench.object("input", ["f"])] });
      await bench.stop();
      const sandbox = join(bench.folder, "store", ".kiln", "sandbox");
      assert.deepEqual(
        readdirSync(sandbox).flatMap((name) => readdirSync(join(sandbox, name))),
        [],
      );
    });
  });
}

/** Processes of builds, and of what makes sandboxes, of the bench at `folder`. */
function left(mark: string, folder: string): number[] {
  return [...processesWith(mark), ...processesWith(`SLOT=${folder}`)];
}

/** Process 1 of the bench's one sandbox. */
function firstProcess(bench: Bench): number[] {
  return processesWith(`SLOT=${bench.folder}`).filter((pid) => namespacePids(pid).at(-1) === "1");
}

/** The starter or `unshare`, which waits for process 1 outside. */
function waiting(bench: Bench): number[] {
  return processesWith(`SLOT=${bench.folder}`).filter((pid) => {
    const parent = /^PPid:\s*(\d+)$/m.exec(status(pid))?.[1];
    return parent === String(bench.process.pid);
  });
}

function namespacePids(pid: number): string[] {
  return /^NSpid:\s*(.*)$/m.exec(status(pid))?.[1]?.split(/\s+/) ?? [];
}

function status(pid: number): string {
  return existsSync(`/proc/${pid}/status`) ? readFileSync(`/proc/${pid}/status`, "utf8") : "";
}

function mountsBelow(folder: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(folder));
}
