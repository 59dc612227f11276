// Sandboxes are cut short at any moment of their first 300 ms, by all that may end them: nothing of them is left, and the next works.
// KILN_ROUNDS=N: how often; the moments are swept and random by turns, and early ones are more.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import { Bench, type DaemonMode, daemonModes, shellModes, waitUntil } from "./support/sandbox.ts";
import { childrenOf, isStarter } from "./support/starter-of.ts";

const rounds = Number(process.env["KILN_ROUNDS"] ?? 10);
const span = 300;
/** How many sandboxes of different ages a killed daemon has. */
const atOnce = 5;
/** Will not end when it is asked to. */
const script = `trap "" TERM HUP INT; (setsid sleep 1000 &); sleep 1000`;

describe("a sandbox cut short", { concurrency: true }, () => {
  for (const mode of [...daemonModes, ...shellModes]) {
    // Without a death signal: as when what waits for process 1 is killed before process 1 has asked for one, which has a moment of its own.
    for (const withoutDeathSignal of [false, true]) {
      const how = withoutDeathSignal ? ", without a death signal" : "";
      test(`by cancelling, ${mode.name}${how}`, async () => {
        await using bench = await Bench.open(mode, { grace: 20, withoutDeathSignal });
        for (const [round, moment] of moments(rounds).entries()) {
          const name = `round ${round}, cancelled after ${moment} ms`;
          const fixed = round % 4 === 3; // with a network
          const building = bench.build({ script, fixed, cancelAfter: moment });
          const report = await settled(building, bench.folder, name);
          assert.equal(report.error?.code, "build.cancelled", name);
          assert.deepEqual(report.left, [], name);
          // A tenth of a second is usual; here all the others are cut short at the same time.
          assert.ok(report.durationMs < moment + 5000, `${name}: ${report.durationMs} ms`);
          await assertGone(bench.folder, [], name);
        }
        await assertUsable(bench);
      });
    }

    test(`by the end of what process 1 itself waits for, ${mode.name}`, async () => {
      await using bench = await Bench.open(mode, {
        killedBeforeMounts: true,
        without: [...(mode.options.without ?? []), "ip", "hostname"], // for whose ends it would not wait in vain
      });
      const report = await settled(bench.build({ script: ":" }), bench.folder, "it");
      // Whoever has done what it was started for may be killed without harm.
      assert.ok([undefined, "sandbox.setup"].includes(report.error?.code), report.error?.message);
      assert.deepEqual(report.left, []);
    });

    test(`by the end of what waits for it, ${mode.name}`, async () => {
      await using bench = await Bench.open(mode);
      await assertUsable(bench); // which makes the slot
      for (const [round, moment] of moments(rounds).entries()) {
        const name = `round ${round}, killed after ${moment} ms`;
        const running = bench.build({ script });
        await waitUntil(() => childrenOf(bench.process.pid).length > 0);
        await wait(moment);
        const groups = childrenOf(bench.process.pid);
        for (const pid of groups) process.kill(pid, "SIGKILL");
        const report = await settled(running, bench.folder, name);
        assert.match(report.error?.code ?? "", /^sandbox\.(setup|killed)$/, name);
        assert.deepEqual(report.left, [], name);
        await assertGone(bench.folder, groups, name);
      }
      await assertUsable(bench);
    });

    test(`by the end of its daemon, ${mode.name}`, async () => {
      const folder = await killDaemons(mode);
      await using bench = await Bench.open(mode, {}, folder);
      await assertUsable(bench);
    });
  }
});

/** The folder they had. */
async function killDaemons(mode: DaemonMode): Promise<string> {
  const folder = Bench.newFolder(mode);
  for (const [round, moment] of moments(Math.ceil(rounds / 4)).entries()) {
    const name = `round ${round}, killed after ${moment} ms`;
    const bench = await Bench.open(mode, { withoutDeathSignal: round % 2 === 0 }, folder);
    const ended: Promise<unknown>[] = [];
    for (let count = 0; count < atOnce; count++) {
      ended.push(bench.build({ script, fixed: count === 3 }).catch(() => {}));
      await wait(moment / atOnce);
    }
    const groups = childrenOf(bench.process.pid);
    await bench.kill();
    await Promise.all(ended);
    await assertGone(folder, groups, name);
  }
  return folder;
}

/** Milliseconds, in the order of the sweep. */
function moments(count: number): number[] {
  return Array.from({ length: count }, (_, round) => {
    const share = round % 2 === 0 ? (round + 1) / count : Math.random();
    return Math.round(span * share ** 2);
  });
}

/** What `building` comes to. Fails when that takes very long, and says what it may wait for. */
async function settled<T>(building: Promise<T>, folder: string, name: string): Promise<T> {
  const late = new AbortController();
  const tooLate = wait(10_000, undefined, { signal: late.signal }).then(() => {
    const left = processesOf(folder, []).map(describeProcess);
    throw new Error(`${name}: it does not end; there are ${left.join(", ")}`);
  });
  tooLate.catch(() => {}); // it is given up
  try {
    return await Promise.race([building, tooLate]);
  } finally {
    late.abort();
  }
}

/** No process of a sandbox of this bench lives, within two seconds, and nothing is mounted. */
async function assertGone(folder: string, groups: readonly number[], name: string): Promise<void> {
  const deadline = performance.now() + 2000;
  let left = processesOf(folder, groups);
  while (left.length > 0 && performance.now() < deadline) {
    await wait(10);
    left = processesOf(folder, groups);
  }
  assert.deepEqual(left.map(describeProcess), [], name);
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  assert.deepEqual(
    mounts.filter((line) => line.includes(folder)),
    [],
    name,
  );
}

async function assertUsable(bench: Bench): Promise<void> {
  const word = randomUUID();
  const report = await bench.build({ script: `echo ${word} >$out` });
  assert.equal(report.output?.content, `${word}\n`);
  assert.deepEqual(readdirSync(join(bench.folder, "store", ".kiln", "sandbox", "slots")), ["0"]);
}

/** Processes of one of the groups, of a sandbox below `folder` by their environment, or that write into a log there. */
function processesOf(folder: string, groups: readonly number[]): string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid) || isStarter(pid)) return false;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      const [state = "", , group] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (/[ZX]/.test(state)) return false;
      if (groups.includes(Number(group))) return true;
      const environment = readFileSync(`/proc/${pid}/environ`, "latin1");
      if (environment.includes(`SLOT=${folder}/`)) return true;
      const logs = join(folder, "store", ".kiln", "sandbox", "fifo-");
      return environment.includes(`HOME=${folder}\0`)
        ? false // the bench itself
        : readlinkSync(`/proc/${pid}/fd/1`).startsWith(logs);
    } catch {
      return false; // gone, or hidden from us
    }
  });
}

function describeProcess(pid: string): string {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ");
    return `${pid} ${words.slice(0, 80)} in ${readFileSync(`/proc/${pid}/wchan`, "latin1")}`;
  } catch {
    return pid;
  }
}
