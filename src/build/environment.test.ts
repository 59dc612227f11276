import assert from "node:assert/strict";
import { test } from "node:test";
import { parseStoreDirectory } from "../format/store-path.ts";
import { builderEnvironment } from "./environment.ts";

const options = {
  workDirectory: "/build",
  storeDirectory: parseStoreDirectory("/opt/zb/store"),
  cores: 4,
};

test("a derivation without variables gets the base environment, sorted", () => {
  assert.deepEqual(
    [...builderEnvironment(new Map(), options)],
    [
      ["HOME", "/home-not-set"],
      ["PATH", "/path-not-set"],
      ["PWD", "/build"],
      ["TEMP", "/build"],
      ["TEMPDIR", "/build"],
      ["TERM", "xterm-256color"],
      ["TMP", "/build"],
      ["TMPDIR", "/build"],
      ["ZB_BUILD_CORES", "4"],
      ["ZB_BUILD_TOP", "/build"],
      ["ZB_STORE", "/opt/zb/store"],
    ],
  );
});

test("the derivation's variables win, also empty ones", () => {
  const env = builderEnvironment(
    new Map([
      ["PATH", "/bin"],
      ["HOME", ""],
      ["out", "/x"],
      ["AAA", "1"],
    ]),
    options,
  );
  assert.equal(env.get("PATH"), "/bin");
  assert.equal(env.get("HOME"), "");
  assert.deepEqual([...env.keys()].slice(0, 2), ["AAA", "HOME"]);
  assert.equal([...env.keys()].at(-1), "out");
});
