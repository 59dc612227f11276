import assert from "node:assert/strict";
import { test } from "node:test";
import { Guests } from "./guests.ts";

const user = (uid: number): Parameters<Guests["admit"]>[0] => ({
  role: "user",
  credentials: { uid, gid: 0, pid: 1, groups: [] },
});

test("a user has so many connections and no more, and others still theirs", () => {
  const guests = new Guests();
  const places: (Disposable | undefined)[] = [];
  while (places.at(-1) !== undefined || places.length === 0) places.push(guests.admit(user(1000)));
  assert.equal(places.length, 251);
  assert.notEqual(guests.admit(user(1001)), undefined);
  assert.notEqual(
    guests.admit({ role: "trusted", credentials: user(1000).credentials }),
    undefined,
  );
  assert.notEqual(guests.admit({ role: "user" }), undefined);
  places[0]?.[Symbol.dispose]();
  assert.notEqual(guests.admit(user(1000)), undefined, "one that was given back");
  assert.equal(guests.admit(user(1000)), undefined);
});
