import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { globExpression } from "./glob.ts";

suite("patterns", () => {
  for (const [glob, matching, other] of [
    ["*.ts", ["a.ts", ".a.ts", ".ts"], ["a/b.ts", "a.tsx"]],
    ["**/*.ts", ["a.ts", "a/b.ts", "a/.b/c.ts"], ["a.js", "ts"]],
    ["src/**", ["src/a", "src/a/b", "src/.a"], ["src", "srcs/a"]],
    ["src/**/a", ["src/a", "src/b/a", "src/b/c/a"], ["src/ba", "a"]],
    ["**", ["a", "a/b"], [""]],
    ["a**b", ["ab", "axb"], ["a/b"]],
    ["a?c", ["abc", "a.c", "a😀c"], ["ac", "a/c"]],
    ["[a-c]x", ["ax", "cx"], ["dx", "x"]],
    ["[!a-c]x", ["dx", "-x"], ["ax", "/x"]],
    ["[^a]x", ["bx", "^x"], ["ax"]],
    ["[]]x", ["]x"], ["x", "[]x"]],
    ["[a\\]]x", ["ax", "]x"], ["\\x"]],
    ["[[:digit:]a]x", ["3x", "ax"], [":x", "dx"]],
    ["[+--]x", ["+x", ",x", "-x"], ["ax"]],
    ["{a,b/c}.ts", ["a.ts", "b/c.ts"], ["b.ts", "{a,b/c}.ts"]],
    ["{a,{b,c}d}", ["a", "bd", "cd"], ["b", "ad"]],
    ["a\\*b", ["a*b"], ["axb"]],
    ["a.b+(c)", [], ["aXb"]],
    ["a.$b^", ["a.$b^"], ["axb"]],
  ] satisfies [string, string[], string[]][]) {
    test(`${glob} matches ${matching.join(" ")} and not ${other.join(" ")}`, () => {
      // Without braces "+(" has no meaning, with them it is refused.
      const braces = !glob.includes("(");
      const expression = globExpression(glob, { braces });
      assert.deepEqual(
        matching.filter((path) => !expression.test(path)),
        [],
      );
      assert.deepEqual(
        other.filter((path) => expression.test(path)),
        [],
      );
    });
  }

  for (const glob of ["[a", "{a", "a\\", "!(a)", "+(a|b)", "[[:nope:]]"]) {
    test(`${glob} is refused`, () => {
      assert.throws(() => globExpression(glob, { braces: true }), SyntaxError);
    });
  }

  test("a brace is itself where braces mean nothing", () => {
    assert.ok(globExpression("{a,b}", { braces: false }).test("{a,b}"));
  });
});
