import assert from "node:assert/strict";
import { lstat } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { BuiltinExecutor } from "./builtin-executor.ts";
import { endMark, rawEntry, tar } from "./builtins/extract/archives.test.helper.ts";
import { shapeOf, type TestStore, testStore } from "./builtins/task.test.helper.ts";

describe("BuiltinExecutor", () => {
  const executor = new BuiltinExecutor({ environment: {}, extract: { entries: 2 } });
  const { signal } = new AbortController();
  let store: TestStore;

  before(async () => {
    store = await testStore();
  });
  after(async () => {
    await store[Symbol.asyncDispose]();
  });

  it("runs a builtin to its end", async () => {
    const src = await store.addFile("a.tar", await tar({ name: "a", data: "x" }));
    const task = await store.task("builtin:extract", { src });
    assert.deepEqual(await executor.run(task, signal), { type: "exited", code: 0 });
    assert.deepEqual(await shapeOf(task.output), { a: "x" });
    assert.equal(task.logged(), "");
  });

  it("logs the reason of a failure, in one line", async () => {
    const src = await store.addFile("a.tar", await tar({ name: "/a\nb" }));
    const task = await store.task("builtin:extract", { src });
    const reason = `extract ${src}: refused the name "/a\\nb": it is absolute`;
    assert.deepEqual(await executor.run(task, signal), {
      type: "failed",
      code: "extract.entry",
      message: `builtin:extract: ${reason}`,
    });
    assert.equal(task.logged(), `builtin:extract: ${reason}\n`);
    const odd = await store.task("builtin:extract", { src: "a\nb" });
    await executor.run(odd, signal);
    assert.equal(odd.logged(), "builtin:extract: source a b is not absolute\n");
  });

  it("hands its limits to the builtins", async () => {
    const entries = ["a", "b", "c"].map((name) => rawEntry({ name }));
    const src = await store.addFile("many.tar", Buffer.concat([...entries, endMark]));
    const outcome = await executor.run(await store.task("builtin:extract", { src }), signal);
    assert.equal(outcome.type === "failed" && outcome.code, "extract.limit");
  });

  it("says so when there is no such builtin", async () => {
    for (const builder of ["builtin:nothing", "builtin:fetchURL", "/bin/sh", "constructor"]) {
      const task = await store.task(builder, {});
      assert.deepEqual(await executor.run(task, signal), {
        type: "failed",
        code: "builtin.unknown",
        message: `builtin "${builder}" not found`,
      });
      assert.equal(task.logged(), "");
    }
  });

  it("rejects with the reason of its signal", async () => {
    const reason = new Error("cancelled by the test");
    const task = await store.task("builtin:extract", {});
    await assert.rejects(executor.run(task, AbortSignal.abort(reason)), reason);
    await assert.rejects(lstat(task.output), { code: "ENOENT" });
  });

  it("rejects when the machine is at fault", async () => {
    const src = await store.addFile("a.tar", endMark);
    const task = await store.task("builtin:extract", { src });
    const [output] = task.outputs.values();
    assert.ok(output);
    const outputs = new Map([["out", { ...output, real: `${store.root}/no/such/out` }]]);
    await assert.rejects(executor.run({ ...task, outputs }, signal), {
      kind: "internal",
      code: "builtin.internal",
    });
    assert.equal(task.logged(), "");
  });
});
