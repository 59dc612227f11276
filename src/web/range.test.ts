import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { answerRange, type RangeAnswer } from "./range.ts";

function shown(answer: RangeAnswer): string {
  if (answer.type === "refused") return String(answer.status);
  return answer.type === "whole" ? "whole" : `${answer.start}-${answer.end ?? ""}`;
}

const finished = [
  ["", "whole"],
  ["bytes=0-", "whole"],
  ["bytes=0-3", "0-4"],
  ["bytes=4-", "4-10"],
  ["bytes=4-100", "4-10"],
  ["bytes=9-9", "9-10"],
  ["bytes=10-", "416"],
  ["bytes=10-20", "416"],
  ["bytes=-4", "6-10"],
  ["bytes=-100", "0-10"],
  ["bytes=-0", "416"],
  ["bytes=0-1,3-4", "422"],
  ["bytes=5-2", "400"],
  ["bytes=-", "400"],
  ["bytes=a-b", "400"],
  ["bytes=", "400"],
  ["lines=0-3", "400"],
  ["bytes=99999999999999999999-", "400"],
] as const;

describe("of 10 bytes", () => {
  for (const [header, wanted] of finished) {
    test(`${header === "" ? "no range" : header} gives ${wanted}`, () =>
      assert.equal(shown(answerRange(header === "" ? undefined : header, 10)), wanted));
  }
});

const growing = [
  ["bytes=0-", "whole"],
  ["bytes=4-", "4-10"],
  ["bytes=4-100", "4-10"],
  ["bytes=10-", "416"],
  ["bytes=-4", "416"],
] as const;

describe("of 10 bytes that become more", () => {
  for (const [header, wanted] of growing) {
    test(`${header} gives ${wanted}`, () =>
      assert.equal(shown(answerRange(header, 10, { isGrowing: true })), wanted));
  }
});

test("there is nothing to have of no bytes", () => {
  assert.equal(shown(answerRange("bytes=-5", 0)), "416");
  assert.equal(shown(answerRange("bytes=1-", 0)), "416");
});
