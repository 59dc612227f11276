import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { asCalled, calledName } from "./called.ts";

describe("the program is named", () => {
  const PATH = "/usr/bin:/usr/local/bin";
  for (const [what, env, name] of [
    ["as it was typed", { PATH, KILN_CALLED: "bin/kiln" }, "bin/kiln"],
    ["so that a shell can read it", { PATH, KILN_CALLED: "/my kiln/kiln" }, "'/my kiln/kiln'"],
    ["shortly where the PATH has it", { PATH, KILN_CALLED: "/usr/local/bin/kiln" }, "kiln"],
    ["shortly where nothing is known", { PATH }, "kiln"],
    ["with npx where that called it", { PATH, npm_command: "exec" }, "npx kiln"],
  ] as const) {
    test(what, () => assert.equal(calledName(env), name));
  }

  test("in hints, wherever they name a command, and once", () => {
    const hint = "kiln serve (kiln doctor), not /opt/kiln serve or a kiln: kiln --debug";
    const shown =
      "bin/kiln serve (bin/kiln doctor), not /opt/kiln serve or a kiln: bin/kiln --debug";
    assert.equal(asCalled(hint, "bin/kiln"), shown);
    assert.equal(asCalled(shown, "bin/kiln"), shown);
    assert.equal(asCalled(asCalled("kiln ps", "npx kiln"), "npx kiln"), "npx kiln ps");
  });
});
