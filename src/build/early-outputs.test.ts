import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { KilnError } from "../util/kiln-error.ts";
import { type Made, states, Workbench } from "./workbench.test.support.ts";

/** A chain of three; the second tells by a file that its builder runs, and ends when there is another. */
async function chain(bench: Workbench): Promise<{ chain: Made[]; begun: string; goOn: string }> {
  const [begun, goOn] = [join(bench.folder, "begun"), join(bench.folder, "go-on")];
  const first = await bench.shell("first", "echo 1 > $out");
  const wait = `touch ${begun}; until [ -e ${goOn} ]; do sleep 0.01; done`;
  const second = await bench.shell("second", `${wait}; cat $first > $out; echo $first >> $out`, {
    inputs: { first },
  });
  const third = await bench.shell("third", "cat $second > $out", { inputs: { second } });
  return { chain: [first, second, third], begun, goOn };
}

async function appears(path: string): Promise<void> {
  while (!existsSync(path)) await delay(5);
}

test("a builder begins while its inputs are brought to disk", { timeout: 60_000 }, async () => {
  await using bench = await Workbench.open();
  const { store } = bench;
  const { chain: made, begun, goOn } = await chain(bench);
  const publish = store.publishAll.bind(store);
  const ended: string[] = [];
  store.publishAll = async (list, options) => {
    const placed = await publish(list, options);
    const name = list.map(({ info }) => info.storePath.slice(-5)).join();
    if (name === "first") {
      await appears(begun);
      writeFileSync(goOn, "");
      // The second has all it needs to end; it must not be stored before this one is.
      await delay(100);
    }
    ended.push(name);
    return placed;
  };
  const done = await bench.realize(made.slice(-1));
  assert.equal(done.build.status, "success");
  assert.deepEqual(ended, ["first", "econd", "third"]);
  const [first, second] = made.map(({ drvPath }) => bench.pathOf(done.build, drvPath));
  assert.ok(first !== undefined && second !== undefined);
  assert.deepEqual(store.info(second)?.references, [first]);
  assert.deepEqual(bench.leftovers(), []);
});

for (const isBegun of [true, false]) {
  const when = isBegun ? "its builder ran" : "it was about to begin";
  test(`nothing is stored that needs what could not be stored: ${when}`, async () => {
    await using bench = await Workbench.open();
    const { store } = bench;
    const { chain: made, begun, goOn } = await chain(bench);
    const publish = store.publishAll.bind(store);
    store.publishAll = async (list, options) => {
      const { onPlaced, alongside } = options ?? {};
      const full = new KilnError("disk.full", "no space is left", { kind: "internal" });
      const isFirst = list.some(({ info }) => info.storePath.endsWith("-first"));
      if (!isFirst) return await publish(list, options);
      if (isBegun) {
        onPlaced?.();
        await appears(begun);
        writeFileSync(goOn, "");
        throw full;
      }
      const fail = (): void => {
        alongside?.();
        throw full;
      };
      return await publish(list, { onPlaced, alongside: fail });
    };
    if (!isBegun) writeFileSync(goOn, "");
    const done = await bench.realize(made.slice(-1));
    assert.deepEqual(states(done), { first: "error", second: "error", third: "skipped" });
    const codes = done.events.flatMap((event) =>
      event.type === "result.finished" ? (event.failure?.code ?? []) : [],
    );
    assert.deepEqual(codes, ["disk.full", "build.inputLost"]);
    assert.deepEqual(
      [...store.list()].filter((path) => !path.endsWith(".drv")),
      [],
    );
    assert.deepEqual(bench.leftovers(), []);
  });
}
