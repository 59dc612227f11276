// Building again what is there, and saying beforehand what would be done.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { sha256 } from "../format/hash.ts";
import type { StorePath } from "../format/store-path.ts";
import { type Finished, type Made, states, Workbench } from "./workbench.test.support.ts";

function failureOf({ events }: Finished, { drvPath }: Made): string | undefined {
  for (const event of events) {
    if (event.type === "result.finished" && event.drvPath === drvPath) return event.failure?.code;
  }
  return undefined;
}

function outputOf({ events }: Finished, { drvPath }: Made): StorePath | null | undefined {
  for (const event of events) {
    if (event.type === "result.finished" && event.drvPath === drvPath)
      return event.outputs[0]?.path;
  }
  return undefined;
}

describe("a check", () => {
  test("builds again what is there, and nothing else", async () => {
    await using bench = await Workbench.open();
    const lib = await bench.shell("lib", "echo lib > $out");
    const app = await bench.shell("app", "cat $lib > $out; echo $out", { inputs: { lib } });
    const first = await bench.realize(app);
    const again = await bench.realize(app, { check: true });
    assert.deepEqual(states(again), { lib: "reused", app: "built" });
    assert.equal(outputOf(again, app), outputOf(first, app));
    assert.deepEqual(await bench.log(again.id, app), await bench.log(first.id, app));
    const planned = again.events.find(
      (event) => event.type === "result.planned" && event.drvPath === app.drvPath,
    );
    assert.equal(planned?.type === "result.planned" && planned.reason?.code, "checkAsked");
    assert.deepEqual(bench.leftovers(), []);
  });

  test("fails where something else comes out, which is kept and never used", async () => {
    await using bench = await Workbench.open();
    const variant = join(bench.folder, "variant");
    writeFileSync(variant, "1");
    const lib = await bench.shell("lib", `cat ${variant} > $out`);
    const app = await bench.shell("app", "cat $lib > $out", { inputs: { lib } });
    const first = await bench.realize(app);
    writeFileSync(variant, "2");
    const again = await bench.realize([lib, app], { check: true });
    assert.deepEqual(states(again), { lib: "failed", app: "built" }, "app takes what was there");
    assert.equal(failureOf(again, lib), "check.differs");
    const other = outputOf(again, lib);
    assert.notEqual(other, outputOf(first, lib));
    assert.ok(other && bench.store.has(other));
    const third = await bench.realize([lib, app]);
    assert.deepEqual(states(third), { lib: "reused", app: "reused" });
    assert.equal(outputOf(third, lib), outputOf(first, lib));
  });

  test("of a fixed output says whether it still is what was declared", async () => {
    await using bench = await Workbench.open();
    const variant = join(bench.folder, "variant");
    writeFileSync(variant, "1");
    const fixed = { method: "flat", hash: sha256("1") } as const;
    const file = await bench.shell("file", `cat ${variant} > $out`, { fixed });
    await bench.realize(file);
    const same = await bench.realize(file, { check: true });
    assert.deepEqual(states(same), { file: "built" }, await bench.log(same.id, file));
    writeFileSync(variant, "2");
    const again = await bench.realize(file, { check: true });
    assert.equal(failureOf(again, file), "ca.mismatch");
    assert.equal(bench.read(await bench.realize(file), file), "1");
  });

  test("builds what is not there as ever, its inputs first", async () => {
    await using bench = await Workbench.open();
    const lib = await bench.shell("lib", "echo lib > $out");
    const app = await bench.shell("app", "cat $lib > $out", { inputs: { lib } });
    const first = await bench.realize(app, { check: true });
    assert.deepEqual(states(first), { lib: "built", app: "built" });
    const libPath = outputOf(first, lib);
    assert.ok(libPath);
    await bench.store.remove([libPath]);
    const again = await bench.realize(app, { check: true });
    assert.equal(states(again)["lib"], "built");
    assert.equal(again.build.status, "success");
  });
});

describe("a forecast", () => {
  test("is what a build then does, with reasons and times, and builds nothing", async () => {
    await using bench = await Workbench.open();
    const { signal } = new AbortController();
    const lib = await bench.shell("lib", "echo lib > $out");
    const app = await bench.shell("app", "cat $lib > $out", { inputs: { lib } });
    const forecast = async (made: Made, check = false): Promise<[string, string, string?][]> => {
      const { results, counts } = await bench.service.forecast(
        { drvPaths: [made.drvPath], check },
        signal,
      );
      assert.equal(results.length, counts.build + counts.reuse);
      return results.map(({ name, action, reason }) =>
        reason === null ? [name, action] : [name, action, reason.code],
      );
    };
    assert.deepEqual(await forecast(app), [
      ["lib", "build", "neverRealised"],
      ["app", "build", "neverRealised"],
    ]);
    assert.equal(bench.service.recentIDs(1).length, 0);
    await bench.realize(app);
    assert.deepEqual(await forecast(app), [
      ["lib", "reuse"],
      ["app", "reuse"],
    ]);
    assert.deepEqual(await forecast(app, true), [
      ["lib", "reuse"],
      ["app", "build", "checkAsked"],
    ]);
    const other = await bench.shell("app", "cat $lib $lib > $out", { inputs: { lib } });
    const { results, estimateMs } = await bench.service.forecast(
      { drvPaths: [other.drvPath] },
      signal,
    );
    const [, changed] = results;
    assert.equal(changed?.reason?.code, "derivationChanged");
    assert.deepEqual(changed?.reason?.detail?.changes, ["args"]);
    assert.equal(typeof estimateMs, "number");
  });
});
