import assert from "node:assert/strict";
import { test } from "node:test";
import { Limiter } from "../util/limiter.ts";
import { HandedPlaces } from "./handed-places.ts";

const { signal } = new AbortController();
const who = { names: [], isShort: true };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("those beyond the places are to begin when others have ended, in their places", async () => {
  const limiter = new Limiter(2);
  const handed = new HandedPlaces(limiter);
  const seats = [];
  for (let i = 0; i < 4; i++) seats.push(await handed.join(signal, who));
  assert.deepEqual(
    seats.map(({ hasPlace }) => hasPlace),
    [true, true, false, false],
  );
  assert.equal(limiter.held, 2);
  const held = [];
  for (const seat of seats.slice(0, 3)) {
    seat[Symbol.dispose]();
    seat[Symbol.dispose]();
    held.push(limiter.held);
  }
  assert.deepEqual(held, [2, 2, 1], "as long as two are left, two run");
  using next = await handed.join(signal, who);
  assert.equal(next.hasPlace, true);
  next[Symbol.dispose]();
  seats[3]![Symbol.dispose]();
  assert.equal(limiter.held, 0);
});

test("who waits for a place elsewhere gets the next one, and then the others follow each other again", async () => {
  const limiter = new Limiter(1);
  const handed = new HandedPlaces(limiter);
  const [first, second] = [await handed.join(signal, who), await handed.join(signal, who)];
  assert.deepEqual([first.hasPlace, second.hasPlace], [true, false]);
  let isIn = false;
  const other = limiter.acquire().then((place) => {
    isIn = true;
    return place;
  });
  const late = [handed.join(signal, who), handed.join(signal, who), handed.join(signal, who)];
  first[Symbol.dispose]();
  await turn();
  assert.equal(isIn, false, "the one that was ordered before runs");
  second[Symbol.dispose]();
  const place = await other;
  assert.equal(limiter.held, 1);
  place[Symbol.dispose]();
  const seats = await Promise.all(late);
  assert.deepEqual(
    seats.map(({ hasPlace }) => hasPlace),
    [true, false, false],
  );
  for (const seat of seats) seat[Symbol.dispose]();
  assert.deepEqual([limiter.held, limiter.waiting], [0, 0]);
});

test("a place that somebody else has is not handed on", async () => {
  const limiter = new Limiter(2);
  const handed = new HandedPlaces(limiter);
  const other = await limiter.acquire();
  assert.equal((await handed.join(signal, who)).hasPlace, true);
  const second = handed.join(signal, who);
  other[Symbol.dispose]();
  assert.equal((await second).hasPlace, true);
  assert.equal(limiter.held, 2);
});

test("what may take long waits for a place in turn, and those that come after it wait behind it", async () => {
  const limiter = new Limiter(1);
  const handed = new HandedPlaces(limiter);
  const first = await handed.join(signal, who);
  const order: string[] = [];
  const long = handed.join(signal, { ...who, isShort: false }).then((seat) => {
    order.push("long");
    return seat;
  });
  const short = handed.join(signal, who).then((seat) => {
    order.push("short");
    return seat;
  });
  await turn();
  assert.deepEqual(order, []);
  first[Symbol.dispose]();
  const seats = [await long, await short];
  assert.deepEqual(
    seats.map(({ hasPlace }) => hasPlace),
    [true, false],
    "the second one may follow it as soon as nobody else waits",
  );
  for (const seat of seats) seat[Symbol.dispose]();
  assert.equal(limiter.held, 0);
});

test("nobody follows while those that were ordered may still run, and nobody knows", async () => {
  const limiter = new Limiter(1);
  const handed = new HandedPlaces(limiter);
  const first = await handed.join(signal, who);
  const lost = handed.lose();
  let isIn = false;
  const second = handed.join(signal, who).then((seat) => {
    isIn = true;
    return seat;
  });
  await turn();
  assert.equal(isIn, false);
  first[Symbol.dispose]();
  lost[Symbol.dispose]();
  assert.equal((await second).hasPlace, true);
  using third = await handed.join(signal, who);
  assert.equal(third.hasPlace, false);
});

test("who gives up waiting was not counted", async () => {
  const limiter = new Limiter(1);
  const handed = new HandedPlaces(limiter);
  const other = await limiter.acquire();
  const abort = new AbortController();
  const waiting = handed.join(abort.signal, who);
  abort.abort(new Error("enough"));
  await assert.rejects(waiting, { message: "enough" });
  await assert.rejects(handed.join(abort.signal, who), { message: "enough" });
  other[Symbol.dispose]();
  using seat = await handed.join(signal, who);
  assert.equal(seat.hasPlace, true);
  seat[Symbol.dispose]();
  assert.deepEqual([limiter.held, limiter.waiting], [0, 0]);
});

test("never more run than there are places, whoever comes and goes", async () => {
  const limiter = new Limiter(3);
  const handed = new HandedPlaces(limiter);
  let seed = 7;
  const random = (below: number): number => (seed = (seed * 48271) % 2147483647) % below;
  /** As the starter does it. */
  const queue: (() => void)[] = [];
  let [running, others, most, done] = [0, 0, 0, 0];
  const began = (): void => {
    most = Math.max(most, running + others);
  };
  const one = async (): Promise<void> => {
    const abort = new AbortController();
    if (random(8) === 0) setImmediate(() => abort.abort(new Error("enough")));
    let seat;
    try {
      seat = await handed.join(abort.signal, { names: [], isShort: random(4) > 0 });
    } catch {
      return;
    }
    if (!seat.hasPlace && running >= limiter.max) {
      await new Promise<void>((resolve) => queue.push(resolve));
    } else running++;
    began();
    for (let turns = random(4); turns >= 0; turns--) await turn();
    const next = queue.shift();
    if (next === undefined) running--;
    else next();
    done++;
    if (random(2) === 0) await turn(); // told of later
    seat[Symbol.dispose]();
  };
  const other = async (): Promise<void> => {
    using _place = await limiter.acquire();
    others++;
    began();
    await turn();
    others--;
  };
  const all: Promise<void>[] = [];
  for (let i = 0; i < 3000; i++) {
    all.push(random(10) === 0 ? other() : one());
    if (random(3) === 0) await turn();
  }
  await Promise.all(all);
  assert.ok(most <= 3, `${most} at the same time`);
  assert.ok(done > 1000);
  assert.deepEqual([limiter.held, limiter.waiting, running], [0, 0, 0]);
});
