import assert from "node:assert/strict";
import { test } from "node:test";
import { DerivationReader } from "./derivation-reader.ts";
import { Workbench } from "./workbench.test.support.ts";

test("derivations are remembered while they are used, and forgotten some minutes later", async () => {
  await using bench = await Workbench.open();
  const [a, b, c] = [
    await bench.shell("a", "echo > $out"),
    await bench.shell("b", "echo > $out"),
    await bench.shell("c", "echo > $out"),
  ];
  let time = 0;
  const clock = { now: () => time, monotonic: () => time };
  const reader = new DerivationReader(bench.store, { clock });
  const first = await reader.read(a.drvPath);
  await reader.read(b.drvPath);
  time += 4 * 60_000;
  assert.equal(await reader.read(a.drvPath), first);
  assert.equal(reader.remembered, 2);
  time += 4 * 60_000;
  await reader.read(c.drvPath); // b was last used eight minutes ago, a four
  assert.equal(reader.remembered, 2);
  assert.equal(await reader.read(a.drvPath), first);
});

test("no more derivations are remembered than there is room for", async () => {
  await using bench = await Workbench.open();
  const made = [await bench.shell("a", "echo > $out"), await bench.shell("b", "echo > $out")];
  const reader = new DerivationReader(bench.store, { capacity: 250 });
  for (const { drvPath } of made) await reader.read(drvPath);
  assert.equal(reader.remembered, 1);
  assert.deepEqual(await reader.read(made[0]!.drvPath), made[0]!.derivation);
});
