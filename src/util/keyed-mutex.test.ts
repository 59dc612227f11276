import assert from "node:assert/strict";
import { test } from "node:test";
import { KeyedMutex } from "./keyed-mutex.ts";

test("holders of one key come one after the other, in the order they asked", async () => {
  const mutex = new KeyedMutex();
  const order: number[] = [];
  const work = async (number: number): Promise<void> => {
    using _lock = await mutex.lock("a");
    order.push(number);
    await Promise.resolve();
    order.push(number);
  };
  await Promise.all([work(1), work(2), work(3)]);
  assert.deepEqual(order, [1, 1, 2, 2, 3, 3]);
  assert.equal(mutex.isLocked("a"), false);
});

test("holders of different keys do not wait for each other", async () => {
  const mutex = new KeyedMutex();
  using _a = await mutex.lock("a");
  using _b = await mutex.lock("b");
  assert.equal(mutex.isLocked("a"), true);
  assert.equal(mutex.isLocked("c"), false);
});

test("whoever gives up waiting leaves the line, and the next one comes in", async () => {
  const mutex = new KeyedMutex();
  const first = await mutex.lock("a");
  const controller = new AbortController();
  const second = mutex.lock("a", controller.signal);
  const third = mutex.lock("a");
  controller.abort(new Error("enough"));
  await assert.rejects(second, { message: "enough" });
  first[Symbol.dispose]();
  using _third = await third;
  assert.equal(mutex.isLocked("a"), true);
});

test("an aborted signal is refused at once, and a later abort does not harm the holder", async () => {
  const mutex = new KeyedMutex();
  await assert.rejects(mutex.lock("a", AbortSignal.abort(new Error("no"))), { message: "no" });
  const controller = new AbortController();
  const first = await mutex.lock("a");
  const second = mutex.lock("a", controller.signal);
  first[Symbol.dispose]();
  using _second = await second;
  controller.abort();
  assert.equal(mutex.isLocked("a"), true);
});

test("giving back twice does not let two in", async () => {
  const mutex = new KeyedMutex();
  const first = await mutex.lock("a");
  const second = mutex.lock("a");
  let thirdEntered = false;
  const third = mutex.lock("a").then((lock) => {
    thirdEntered = true;
    return lock;
  });
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  using _second = await second;
  await new Promise(setImmediate);
  assert.equal(thirdEntered, false);
  _second[Symbol.dispose]();
  (await third)[Symbol.dispose]();
});

test("several keys are taken at once when all are free, and none when one is not", async () => {
  const mutex = new KeyedMutex();
  const both = mutex.tryLock(["a", "b", "a"]);
  const later = mutex.lock("b");
  assert.equal(mutex.tryLock(["c", "b"]), undefined);
  assert.equal(mutex.isLocked("c"), false);
  both?.[Symbol.dispose]();
  assert.equal(mutex.isLocked("a"), false);
  assert.equal(mutex.tryLock(["b"]), undefined);
  (await later)[Symbol.dispose]();
  assert.equal(mutex.isLocked("b"), false);
});
