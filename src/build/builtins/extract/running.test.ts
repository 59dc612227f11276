import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { hasCode } from "../../../util/kiln-error.ts";
import { compressors, contextOf, ExtractBench } from "./bench.test.helper.ts";
import { extract } from "./archive.ts";
import { endMark, rawEntry, tar } from "./archives.test.helper.ts";

const bench = new ExtractBench();

/** A signal that is aborted when somebody asks for the nth time whether it is. */
function abortedWhenAskedFor(count: number): AbortSignal {
  const controller = new AbortController();
  const { signal } = controller;
  let asked = 0;
  signal.throwIfAborted = () => {
    if (++asked === count) controller.abort(new Error("cancelled by the test"));
    AbortSignal.prototype.throwIfAborted.call(signal);
  };
  return signal;
}

describe("builtin:extract, while it runs", () => {
  for (const [name, compress] of compressors) {
    for (const searchPath of name === "bzip2" || name === "xz" ? [undefined, ""] : [undefined]) {
      it(`ends at once when cancelled in ${name}${searchPath === "" ? " without program" : ""}`, async () => {
        const data = Buffer.alloc(100_000, "0123456789abcdef");
        const archive = compress(
          await tar(...Array.from({ length: 20 }, (_, i) => ({ name: `f${i}`, data }))),
        );
        const src = await bench.store.addFile("large", archive);
        const task = await bench.store.task("builtin:extract", { src });
        const signal = abortedWhenAskedFor(10);
        const environment = { PATH: searchPath ?? process.env["PATH"] };
        await assert.rejects(extract(task, { environment, signal }), /cancelled by the test/);
        const made = await readdir(task.output);
        assert.ok(made.includes("f0") && !made.includes("f19"), made.join(" "));
      });
    }
  }

  it("is cancelled before it begins", async () => {
    const signal = AbortSignal.abort(new Error("cancelled by the test"));
    await assert.rejects(
      bench.unpack(await tar({ name: "a" }), { signal }),
      /cancelled by the test/,
    );
  });

  it("tells how far it is", async (t) => {
    t.mock.timers.enable({ apis: ["setInterval"] });
    const src = await bench.store.addFile(
      "a.tar",
      await tar({ name: "a", data: Buffer.alloc(5000) }),
    );
    const task = await bench.store.task("builtin:extract", { src });
    const running = extract(task, contextOf());
    t.mock.timers.tick(1000);
    await running;
    assert.deepEqual(task.phases.at(-1), ["unpack", 0, undefined, "B"]);
  });

  it("does not hold up others while it unpacks many files", async () => {
    const archive = Buffer.concat([
      ...Array.from({ length: 800 }, (_, i) => rawEntry({ name: `d${i % 50}/f${i}` }, "contents")),
      endMark,
    ]);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await bench.unpack(archive);
    clearInterval(timer);
    assert.ok(turns > 3, `${turns} turns`);
  });

  it("reports faults of the machine as such", async () => {
    const src = await bench.store.addFile("a.tar", await tar({ name: "a" }));
    const task = await bench.store.task("builtin:extract", { src });
    const nowhere = { ...task, outputs: new Map() };
    const context = contextOf();
    await assert.rejects(extract(nowhere, context), { code: "extract.output" });
    const [logical] = [...task.outputs.values()].map((output) => output.logical);
    assert.ok(logical);
    const outputs = new Map([["out", { logical, real: join(bench.store.root, "no/such/out") }]]);
    await assert.rejects(
      extract({ ...task, outputs }, context),
      (error) => !hasCode(error, "extract.output") && /ENOENT/.test(String(error)),
    );
  });
});
