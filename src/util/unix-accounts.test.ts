import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { findGroup, usersOf } from "./unix-accounts.ts";

test("the group of root's gid is found by name and by number, with root in it", async () => {
  const line = readFileSync("/etc/group", "utf8")
    .split("\n")
    .find((l) => l.split(":")[2] === "0");
  const name = line?.split(":")[0] ?? "";
  const group = await findGroup(name);
  assert.equal(group?.gid, 0);
  assert.deepEqual(await findGroup("0"), group);
  assert.ok(group);
  const users = await usersOf(group);
  assert.ok(users.some((user) => user.uid === 0 && user.name === "root"));
});

test("a group that does not exist is undefined, also one that looks like an option", async () => {
  assert.equal(await findGroup("no-such-group-here"), undefined);
  assert.equal(await findGroup("--help"), undefined);
});

test("a group's users are its members and those who have it as their first", async () => {
  const read = (file: string): string[][] =>
    readFileSync(file, "utf8")
      .split("\n")
      .map((line) => line.split(":"))
      .filter((fields) => fields.length > 3);
  const people = read("/etc/passwd");
  for (const [name = "", , gid, list = ""] of read("/etc/group")) {
    const members = list.split(",");
    const wanted = people.filter(
      (person) => person[3] === gid || members.includes(person[0] ?? ""),
    );
    const group = await findGroup(name);
    assert.ok(group, name);
    const uids = new Set((await usersOf(group)).map(({ uid }) => uid));
    // Other sources of users may know more of them.
    for (const [person, , uid] of wanted) assert.ok(uids.has(Number(uid)), `${person} of ${name}`);
  }
});
