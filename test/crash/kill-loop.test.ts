// A daemon is killed at work, with `kill -9`, and audited after each restart. The long loop: npm run crash.
// KILN_SEED=N repeats a run.
import assert from "node:assert/strict";
import { test } from "node:test";
import { randomFrom } from "../support/random.ts";
import { killLoop } from "./kill-loop.ts";

const kills = 12;
const seed = Number(process.env["KILN_SEED"] ?? Date.now() % 2 ** 31);

test(
  `${kills} times killed at work, a daemon has lost nothing and left nothing`,
  { timeout: 240_000 },
  async (t) => {
    const report = await killLoop({ kills, random: randomFrom(seed) });
    t.diagnostic(
      `seed ${seed}: killed during ${JSON.stringify(report.during)}, ${report.audited} objects hashed`,
    );
    assert.deepEqual(report.faults, [], `KILN_SEED=${seed}`);
    for (const [kind, count] of Object.entries(report.during)) {
      assert.ok(count >= kills / 4, `${kind}: killed ${count} times`);
    }
    assert.equal(report.interrupted, kills * 5, "every client was told");
    // A machine that is busy with other tests makes one wait, but not work.
    const median = report.starts[Math.floor(report.starts.length / 2)]!;
    assert.ok(median < 2000, `started in ${median} ms`);
    assert.ok(report.work.at(-1)! < 2000, `worked ${report.work.at(-1)} ms to start`);
  },
);
