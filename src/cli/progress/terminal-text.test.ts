import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { array, assert as check, constantFrom, oneof, property, string } from "fast-check";
import { harmless, LineReader } from "./terminal-text.ts";

const esc = "\u001b";
const colours = new RegExp(`${esc}\\[[0-9;:]*m`, "g");

describe("a builder's line", () => {
  const cases: [name: string, line: string, shown: string][] = [
    ["plain text passes", "hello", "hello"],
    ["colours pass and are ended", `${esc}[31mred`, `${esc}[31mred${esc}[0m`],
    ["the cursor stays", `${esc}[2J${esc}[1;1Hx${esc}[K`, "x"],
    ["titles are dropped", `${esc}]0;evil\u0007x`, "x"],
    ["titles ended by ST are dropped", `${esc}]0;evil${esc}\\x`, "x"],
    ["a title that never ends takes the line", `x${esc}]0;evil`, "x"],
    [
      "links are dropped, their text stays",
      `${esc}]8;;http://e${esc}\\text${esc}]8;;${esc}\\`,
      "text",
    ],
    ["device strings are dropped", `${esc}P1;1|17/ab${esc}\\x`, "x"],
    ["8-bit controls are dropped", "\u009b31mx\u0085y", "xy"],
    ["resets are dropped", `${esc}cx`, "x"],
    ["bells and backspaces are dropped", "a\u0007\bb", "ab"],
    ["the last part after carriage returns stays", "10%\r20%\r30%", "30%"],
    ["a carriage return at the end is no line", "done\r", "done"],
    ["tabs become blanks", "a\tb", "a    b"],
    ["direction marks are dropped", "a\u202eb", "ab"],
    ["a cut escape is dropped", `x${esc}[3`, "x"],
  ];
  for (const [name, line, shown] of cases)
    test(name, () => assert.equal(harmless(line, { colour: true }), shown));

  test("has no colour where none is wanted", () => {
    assert.equal(harmless(`${esc}[31mred${esc}[0m`, { colour: false }), "red");
  });

  test("never holds an escape but SGR", () => {
    const piece = oneof(
      constantFrom(esc, "[", "]", "0;", "m", "\u0007", "\\", "\u009b", "\u009d", "\r", "P", "A"),
      string(),
    );
    check(
      property(array(piece, { maxLength: 30 }), (pieces) => {
        const shown = harmless(pieces.join(""), { colour: true });
        const rest = shown.replaceAll(colours, "");
        assert.ok(
          Array.from(rest).every((char) => char >= " " && !(char >= "\u007f" && char <= "\u009f")),
        );
      }),
    );
  });
});

describe("lines from bytes", () => {
  test("are whole wherever the bytes were cut", () => {
    const bytes = Buffer.from("eins\nzwei ä€\ndrei");
    for (let cut = 0; cut <= bytes.length; cut++) {
      const reader = new LineReader();
      const lines = [...reader.push(bytes.subarray(0, cut)), ...reader.push(bytes.subarray(cut))];
      assert.deepEqual([...lines, ...reader.end()], ["eins", "zwei ä€", "drei"]);
    }
  });
  test("without an end are cut", () => {
    const reader = new LineReader(4);
    assert.deepEqual(reader.push(Buffer.from("abcdef")), ["abcdef"]);
    assert.deepEqual(reader.push(Buffer.from("gh")), []);
    assert.equal(reader.partial, "gh");
  });
});
