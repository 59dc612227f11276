import assert from "node:assert/strict";
import { test } from "node:test";
import { PerlRunner } from "./perl-runner.ts";

test("whoever waits for the output of a builder that cannot be started is told that there will be none", async () => {
  await using runner = new PerlRunner("perl");
  const command = {
    builder: "sh",
    args: [],
    env: new Map<string, string>(),
    workDirectory: "/",
    user: undefined,
    launcher: "/none",
  };
  let told = 0;
  const outcome = await runner.run(command, "/none", {
    stop: new AbortController().signal,
    grace: 0,
    onStarted: () => told++,
  });
  assert.equal(outcome.type, "notStarted");
  assert.equal(told, 1);
});
