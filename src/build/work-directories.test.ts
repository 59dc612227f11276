import assert from "node:assert/strict";
import { test } from "node:test";
import { parseStorePath } from "../format/store-path.ts";
import { Result } from "./result.ts";
import { WorkDirectories } from "./work-directories.ts";

function results(count: number): Result[] {
  return Array.from({ length: count }, (_, index) => {
    const path = `/opt/zb/store/${String(index).padStart(32, "0")}-r${index}.drv`;
    return new Result(parseStorePath(path), `r${index}`, ["out"], 0);
  });
}

test("a directory is on record before it is made, and so are those of the next builders: few at first, and then 64 at once", () => {
  const saved: string[][] = [];
  const directories = new WorkDirectories({
    parent: "/builds",
    save: (list) =>
      saved.push(list.map(({ name, buildDirectory = "" }) => `${name} ${buildDirectory}`)) > 0,
  });
  const all = results(103);
  directories.expect(all);
  all[1]!.state = "reused";
  const first = directories.of(all[0]!);
  assert.match(first, /^\/builds\/zb-build-r0-[0-9a-f]{12}$/);
  assert.equal(directories.of(all[0]!), first);
  assert.equal(saved.length, 1);
  assert.equal(saved[0]?.length, 4);
  assert.equal(saved[0]?.[0], `r0 ${first}`);
  assert.ok(
    saved[0].every((line) => !line.startsWith("r1 ")),
    "what has ended needs none",
  );
  for (const result of all.slice(2, 5))
    assert.ok(saved[0].includes(`${result.name} ${directories.of(result)}`));
  assert.equal(saved.length, 1);
  directories.of(all[5]!);
  assert.equal(saved[1]?.length, 64);
  for (const result of all.slice(6, 69))
    assert.ok(saved[1].includes(`${result.name} ${directories.of(result)}`));
  assert.equal(saved.length, 2);
  directories.of(all[69]!);
  assert.equal(saved[2]?.length, 34);
  assert.equal(new Set(saved.flat()).size, 102);
});

test("one that nobody expected is written down by itself", () => {
  const saved: (readonly Result[])[] = [];
  const directories = new WorkDirectories({
    parent: "/builds",
    save: (list) => saved.push(list) > 0,
  });
  const [one] = results(1);
  directories.of(one!);
  assert.deepEqual(saved, [[one]]);
});

test("what could not be written down is tried again in its turn", () => {
  const tried: number[] = [];
  const save = (list: readonly Result[]): boolean => tried.push(list.length) > 1;
  const directories = new WorkDirectories({ parent: "/builds", save });
  const all = results(3);
  directories.expect(all);
  for (const result of all) directories.of(result);
  assert.deepEqual(tried, [3, 1, 1]);
});
