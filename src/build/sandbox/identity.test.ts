import assert from "node:assert/strict";
import { test } from "node:test";
import { firstPrivateID, idsFor, privateIDs } from "./identity.ts";
import { isMapped } from "./support.ts";

const root = { mode: "root", inner: true } as const;

test("a builder is always uid 1000, gid 100 to itself, and never root of the host out here", () => {
  const inside = { uid: 1000, gid: 100 };
  const user = { uid: 7, gid: 8 };
  assert.deepEqual(idsFor(root, user, 3), { inside, outside: user });
  const own = { uid: firstPrivateID + 3, gid: firstPrivateID + 3 };
  assert.deepEqual(idsFor(root, undefined, 3), { inside, outside: own });
  assert.deepEqual(idsFor(root, undefined, -1).outside.uid, firstPrivateID + privateIDs - 1);
});

test("without a user namespace of its own it is who it is", () => {
  const user = { uid: 7, gid: 8 };
  assert.deepEqual(idsFor({ mode: "root", inner: false }, user, 0), {
    inside: user,
    outside: user,
  });
});

for (const [map, is] of [
  ["         0          0 4294967295\n", true],
  ["         0       1000          1\n", false],
  ["0 0 1000\n1879048192 5 65536\n", true],
  ["0 0 1000\n1879048192 5 65535\n", false],
  ["", false],
] as const) {
  test(`the private ids ${is ? "exist" : "do not exist"} by the map ${JSON.stringify(map)}`, () => {
    assert.equal(isMapped(map, firstPrivateID, privateIDs), is);
  });
}
