// Clocks that are set: forward by years, and back again.
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { mock, test } from "node:test";
import { importInto, sample, streamOf, testStore, type TestStore } from "./store.test.support.ts";

const year = 365 * 24 * 3_600_000;

/** Has the clock say another time until the result is disposed of. */
function clockAt(time: number): Disposable {
  mock.timers.enable({ apis: ["Date"], now: time });
  return { [Symbol.dispose]: () => mock.timers.reset() };
}

async function withObject(context: TestStore): Promise<ReturnType<typeof sample>> {
  const object = sample(context.directory, "object", "contents");
  await importInto(context.store, streamOf(object));
  return object;
}

for (const [what, jump] of [
  ["years ahead", 5 * year],
  ["years behind", -5 * year],
] as const) {
  test(`what was imported while the clock was ${what} is collected when it is right`, async () => {
    await using context = await testStore();
    const now = Date.now();
    let object;
    {
      using _clock = clockAt(now + jump);
      object = await withObject(context);
      assert.notEqual(context.store.info(object.storePath), undefined);
    }
    await context.reopen();
    using _later = clockAt(now + 2 * 3_600_000);
    const first = await context.store.collect({ olderThan: 3_600_000 });
    using _latest = clockAtAgain(now + 4 * 3_600_000);
    const second = await context.store.collect({ olderThan: 3_600_000 });
    assert.equal(first.count + second.count, 1);
  });

  test(`what was changed after the clock was ${what} is found out`, async () => {
    await using context = await testStore();
    let object;
    {
      using _clock = clockAt(Date.now() + jump);
      object = await withObject(context);
    }
    const file = context.store.realPath(object.storePath);
    chmodSync(file, 0o644);
    writeFileSync(file, "CONTENTS");
    chmodSync(file, 0o444);
    const { damaged } = await context.store.verify();
    assert.deepEqual(
      damaged.map(({ path, kind }) => [path, kind]),
      [[object.storePath, "contents"]],
    );
    assert.equal(await context.store.isIntact(object.storePath), false);
  });

  test(`a session keeps what it uses while the clock goes ${what}`, async () => {
    await using context = await testStore();
    const now = Date.now();
    const objects = [sample(context.directory, "one", "1"), sample(context.directory, "two", "2")];
    await importInto(context.store, streamOf(...objects));
    using _session = context.store.session();
    {
      using _clock = clockAt(now + jump);
      assert.ok(context.store.info(objects[0]!.storePath) !== undefined);
      using _later = clockAtAgain(now + jump + 60_000);
      await context.store.collect({ olderThan: 0 });
    }
    assert.ok(context.store.has(objects[0]!.storePath), "it was used in the session");
  });
}

/** The same while the clock has been set already. */
function clockAtAgain(time: number): Disposable {
  mock.timers.setTime(time);
  return { [Symbol.dispose]: () => undefined };
}
