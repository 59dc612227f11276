// What isolation costs: the same builds with and without, turn by turn.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Bench, type DaemonMode, daemonModes } from "../support/sandbox.ts";

/** Medians of what a sandbox with so many inputs adds to a build, in milliseconds. */
async function costOf(
  mode: DaemonMode,
  { inputs, rounds, isSame }: { inputs: number; rounds: number; isSame: boolean },
): Promise<number> {
  await using sandboxed = await Bench.open(mode);
  await using plain = await Bench.open(mode, { plain: true });
  const [given, others]: [string[], string[]] = [[], []];
  for (let i = 0; i < inputs; i++) {
    given.push(await sandboxed.object(`${i}-input`, ["f"]));
    if (!isSame) others.push(await sandboxed.object(`${i}-other`, ["f"]));
  }
  const nothing = { builder: "/bin/true", args: [] };
  // The first build makes what the others use again.
  await Promise.all([sandboxed.build({ ...nothing, inputs: given }), plain.build(nothing)]);
  const costs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    // Others may be at work on this machine: each pair has the same neighbours.
    const chosen = isSame || round % 2 === 1 ? given : others;
    const isolated = await sandboxed.build({ ...nothing, inputs: chosen });
    const alone = await plain.build(nothing);
    for (const { outcome } of [isolated, alone]) {
      assert.deepEqual(outcome, { type: "exited", code: 0 });
    }
    costs.push(isolated.durationMs - alone.durationMs);
  }
  return costs.toSorted((a, b) => a - b)[rounds >> 1] ?? Infinity;
}

for (const mode of daemonModes) {
  for (const [what, limit, options] of [
    ["10 inputs", 35, { inputs: 10, rounds: 31, isSame: true }],
    ["1,000 inputs", 600, { inputs: 1000, rounds: 7, isSame: true }],
    ["1,000 other inputs than before", 600, { inputs: 1000, rounds: 7, isSame: false }],
  ] as const) {
    test(`a sandbox with ${what}, ${mode.name}, adds less than ${limit} ms`, async (t) => {
      const cost = await costOf(mode, options);
      t.diagnostic(`${cost.toFixed(1)} ms`);
      assert.ok(cost < limit, `${cost} ms`);
    });
  }
}
