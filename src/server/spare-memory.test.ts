import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

test("memory goes back to the system when nothing is done any more, and not before", () => {
  const program = `
    import { spareMemory } from ${JSON.stringify(new URL("spare-memory.ts", import.meta.url).href)};
    import { setTimeout as delay } from "node:timers/promises";
    const memory = () => process.memoryUsage.rss() / 2 ** 20;
    let kept = Array.from({ length: 400_000 }, (_, n) => ({ n, text: "x" + n }));
    for (let round = 0; round < 20; round++) kept = kept.map((one) => ({ ...one }));
    const most = memory();
    kept = [];
    using _spared = spareMemory(100);
    const end = performance.now() + 500;
    while (performance.now() < end) {
      await delay(1);
      for (const busy = performance.now() + 1; performance.now() < busy;);
    }
    const busy = memory();
    for (let tries = 0; memory() > most - 30 && tries < 100; tries++) await delay(100);
    console.log(JSON.stringify({ most, busy, least: memory(), gc: typeof globalThis.gc }));`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { most, busy, least, gc } = JSON.parse(stdout) as Record<string, number | string>;
  assert.ok(Number(busy) > Number(most) - 30, stdout);
  assert.ok(Number(least) <= Number(most) - 30, stdout);
  assert.equal(gc, "undefined");
});
