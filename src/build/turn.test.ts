import assert from "node:assert/strict";
import { test } from "node:test";
import { Limiter } from "../util/limiter.ts";
import { Turn } from "./turn.ts";

test("a place is given up at once for a turn that is free, and else when there is one", async () => {
  const [places, turns] = [new Limiter(2), new Limiter(1)];
  const { signal } = new AbortController();
  const first = new Turn(turns, await places.acquire());
  const second = new Turn(turns, await places.acquire());
  first.takeNow();
  second.takeNow();
  assert.deepEqual([places.held, turns.held], [1, 1]);
  await first.take(signal);
  const taken = second.take(signal);
  first[Symbol.dispose]();
  await taken;
  assert.deepEqual([places.held, turns.held], [0, 1]);
  second[Symbol.dispose]();
  assert.equal(turns.held, 0);
});
