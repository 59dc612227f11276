import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import { readToken } from "./administrator.ts";

describe("the administrator's token", () => {
  let folder = "";
  let file = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "kiln-token-"));
    file = join(folder, "token");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("is made once, for its owner alone", () => {
    const token = readToken(file);
    assert.match(token, /^[\w-]{43}$/);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(readToken(file), token);
  });

  test("may be one of the operator's own, that a group can read", () => {
    writeFileSync(file, "0123456789abcdef\n");
    chmodSync(file, 0o640);
    assert.equal(readToken(file), "0123456789abcdef");
  });

  for (const [what, text, mode] of [
    ["short", "0123456789abcde", 0o600],
    ["empty", "\n", 0o600],
    ["in a file that everybody can read", "0123456789abcdef", 0o604],
    ["in a file that everybody can write", "0123456789abcdef", 0o602],
  ] as const) {
    test(`is not one that is ${what}`, () => {
      writeFileSync(file, text);
      chmodSync(file, mode);
      assert.throws(
        () => readToken(file),
        (error) => hasCode(error, "ui.token") && error.message.includes(file),
      );
    });
  }
});
