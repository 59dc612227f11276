import assert from "node:assert/strict";
import { test } from "node:test";
import { Limiter } from "./limiter.ts";

test("at most max hold a place, and the rest comes in by order of asking", async () => {
  const limiter = new Limiter(2);
  const order: number[] = [];
  let most = 0;
  const work = async (number: number): Promise<void> => {
    using _place = await limiter.acquire();
    order.push(number);
    most = Math.max(most, limiter.held);
    await new Promise(setImmediate);
  };
  await Promise.all([1, 2, 3, 4, 5].map(work));
  assert.deepEqual(order, [1, 2, 3, 4, 5]);
  assert.equal(most, 2);
  assert.equal(limiter.held, 0);
});

test("who does not want to wait gets a place only if one is free", () => {
  const limiter = new Limiter(1);
  const first = limiter.acquireNow();
  assert.ok(first);
  assert.equal(limiter.acquireNow(), undefined);
  first[Symbol.dispose]();
  assert.ok(limiter.acquireNow());
  assert.equal(limiter.held, 1);
});

test("whoever gives up waiting takes no place", async () => {
  const limiter = new Limiter(1);
  const first = await limiter.acquire();
  const controller = new AbortController();
  const second = limiter.acquire(controller.signal);
  controller.abort(new Error("enough"));
  await assert.rejects(second, { message: "enough" });
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  assert.equal(limiter.held, 0);
  using _third = await limiter.acquire();
  assert.equal(limiter.held, 1);
});

test("users take turns, and so do the builds of each", async () => {
  const limiter = new Limiter(1);
  const order: string[] = [];
  const work = async (name: string, ...names: string[]): Promise<void> => {
    using _place = await limiter.acquire(undefined, names);
    order.push(name);
    await new Promise(setImmediate);
  };
  await Promise.all([
    ...["a1", "a2", "a3", "a4"].map((name) => work(name, "ann", "large")),
    work("a5", "ann", "small"),
    ...["b1", "b2"].map((name) => work(name, "ben", "other")),
  ]);
  assert.deepEqual(order, ["a1", "a2", "b1", "a5", "b2", "a3", "a4"]);
});

test("whoever gave up waiting has no turn", async () => {
  const limiter = new Limiter(1);
  const first = await limiter.acquire();
  const controller = new AbortController();
  const gone = limiter.acquire(controller.signal, ["ann"]);
  const next = limiter.acquire(undefined, ["ben"]);
  controller.abort(new Error("enough"));
  await assert.rejects(gone, { message: "enough" });
  first[Symbol.dispose]();
  using _place = await next;
  assert.equal(limiter.held, 1);
});

for (const max of [0, -1, 1.5, Number.NaN]) {
  test(`a limit of ${max} is refused`, () => {
    assert.throws(() => new Limiter(max), RangeError);
  });
}

test("many thousands wait, and leave, as quickly as few", async () => {
  const timeOf = async (count: number): Promise<number> => {
    const limiter = new Limiter(1);
    using _first = await limiter.acquire();
    const { signal, abort } = withAbort();
    const begin = performance.now();
    const all = Array.from({ length: count }, () => limiter.acquire(signal));
    abort();
    const outcomes = await Promise.allSettled(all);
    assert.ok(outcomes.every(({ status }) => status === "rejected"));
    return (performance.now() - begin) / count;
  };
  await timeOf(1000);
  const [few, many] = [await timeOf(1000), await timeOf(40_000)];
  assert.ok(many < 20 * few, `${many} ms each instead of ${few}`);
});

function withAbort(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort(new Error("enough")) };
}

test("a higher limit lets in who waits, and a lower one lets nobody in until there is room again", async () => {
  const limiter = new Limiter(1);
  const first = await limiter.acquire();
  const rest = [limiter.acquire(), limiter.acquire(), limiter.acquire()];
  await new Promise(setImmediate);
  assert.equal(limiter.waiting, 3);
  limiter.max = 3;
  const [second, third] = [await rest[0]!, await rest[1]!];
  await new Promise(setImmediate);
  assert.deepEqual([limiter.held, limiter.waiting], [3, 1]);
  limiter.max = 1;
  assert.equal(limiter.held, 3, "who is in stays");
  first[Symbol.dispose]();
  second[Symbol.dispose]();
  await new Promise(setImmediate);
  assert.deepEqual([limiter.held, limiter.waiting], [1, 1]);
  assert.equal(limiter.acquireNow(), undefined);
  third[Symbol.dispose]();
  using _last = await rest[2]!;
  assert.deepEqual([limiter.held, limiter.waiting], [1, 0]);
  assert.throws(() => (limiter.max = 0), RangeError);
});
