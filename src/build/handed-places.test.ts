import assert from "node:assert/strict";
import { test } from "node:test";
import { Limiter } from "../util/limiter.ts";
import { HandedPlaces } from "./handed-places.ts";

const { signal } = new AbortController();

test("those beyond the places are to begin when others have ended, in their places", async () => {
  const limiter = new Limiter(2);
  const handed = new HandedPlaces(limiter);
  const joined: boolean[] = [];
  for (let i = 0; i < 4; i++) joined.push(await handed.join(signal, []));
  assert.deepEqual(joined, [true, true, false, false]);
  assert.equal(limiter.held, 2);
  handed.leave();
  handed.leave();
  assert.equal(limiter.held, 2, "two are left, and run");
  handed.leave();
  assert.equal(limiter.held, 1);
  assert.equal(await handed.join(signal, []), true);
  handed.leave();
  handed.leave();
  assert.equal(limiter.held, 0);
});

test("who waits for a place elsewhere gets the next one, though others could be handed on", async () => {
  const limiter = new Limiter(1);
  const handed = new HandedPlaces(limiter);
  assert.deepEqual([await handed.join(signal, []), await handed.join(signal, [])], [true, false]);
  let isIn = false;
  const other = limiter.acquire().then((place) => ((isIn = true), place));
  const late = handed.join(signal, []);
  handed.leave();
  await new Promise(setImmediate);
  assert.equal(isIn, false, "the one that was ordered before runs");
  handed.leave();
  const place = await other;
  assert.equal(limiter.held, 1);
  place[Symbol.dispose]();
  assert.equal(await late, true);
  handed.leave();
  assert.equal(limiter.held, 0);
});

test("a place that somebody else has is not handed on", async () => {
  const limiter = new Limiter(2);
  const handed = new HandedPlaces(limiter);
  const other = await limiter.acquire();
  assert.equal(await handed.join(signal, []), true);
  const second = handed.join(signal, []);
  other[Symbol.dispose]();
  assert.equal(await second, true);
  assert.equal(limiter.held, 2);
});

test("who gives up waiting was not counted", async () => {
  const limiter = new Limiter(1);
  const handed = new HandedPlaces(limiter);
  const other = await limiter.acquire();
  const abort = new AbortController();
  const waiting = handed.join(abort.signal, []);
  abort.abort(new Error("enough"));
  await assert.rejects(waiting, { message: "enough" });
  await assert.rejects(handed.join(abort.signal, []), { message: "enough" });
  other[Symbol.dispose]();
  assert.equal(await handed.join(signal, []), true);
  handed.leave();
  assert.equal(limiter.held, 0);
});
