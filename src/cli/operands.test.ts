import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import { parseArguments, parseOperand } from "./operands.ts";

describe("operands", () => {
  const cases: [text: string, file: string, target: string][] = [
    [".", ".", ""],
    [".#app", ".", "app"],
    ["#app", ".", "app"],
    ["examples/greeter", "examples/greeter", ""],
    ["x/kiln.build.ts#two/dev", "x/kiln.build.ts", "two/dev"],
    ["c#/x#app", "c#/x", "app"],
    ["there#is", "there#is", ""],
    ["x#app.drv", "x", "app.drv"],
  ];
  for (const [text, file, target] of cases)
    test(`${text} is target "${target}" of ${file}`, () => {
      const operand = parseOperand(text, (path) => path === "there#is");
      assert.deepEqual(operand, { type: "target", text, file, target });
    });
  test("a name that ends in .drv is a derivation", () => {
    const path = "/opt/zb/store/x.drv";
    assert.deepEqual(
      parseOperand(path, () => false),
      { type: "derivation", text: path, path },
    );
  });
});

test("parameters are name and value, or a name alone", () => {
  assert.deepEqual(parseArguments(["race", "tag=1=0", "empty="]), {
    race: true,
    tag: "1=0",
    empty: "",
  });
  assert.throws(
    () => parseArguments(["=x"]),
    (error) => hasCode(error, "usage.value"),
  );
});
