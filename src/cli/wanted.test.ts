import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseStorePath } from "../format/store-path.ts";
import { byTarget } from "./wanted.ts";

const drvPath = parseStorePath(`/opt/zb/store/${"0".repeat(32)}-x.drv`);

describe("derivations and the targets they were named by", () => {
  const cases: [targets: string[], names: string[], wanted: string[][]][] = [
    [["app"], ["app"], [["app"]]],
    [
      ["app", "docs"],
      ["app", "docs"],
      [["app"], ["docs"]],
    ],
    [
      ["two", "app"],
      ["two/a", "two/b", "app"],
      [["two/a", "two/b"], ["app"]],
    ],
    [
      ["", "app"],
      ["greeter", "app"],
      [["greeter"], ["app"]],
    ],
    [
      ["app", ""],
      ["app", "greeter"],
      [["app"], ["greeter"]],
    ],
    [[""], ["a", "b"], [["a", "b"]]],
  ];
  for (const [targets, names, wanted] of cases)
    test(`${names.join(" ")} of ${JSON.stringify(targets)}`, () => {
      const lists = byTarget(
        targets,
        names.map((name) => ({ name, drvPath })),
      );
      assert.deepEqual(
        targets.map((target) => lists.get(target)?.map(({ name }) => name)),
        wanted,
      );
    });
});
