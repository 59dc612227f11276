import assert from "node:assert/strict";
import { test } from "node:test";
import type { Derivation } from "../format/derivation/derivation.ts";
import { derivationPath } from "../format/derivation/print.ts";
import { sha256 } from "../format/hash.ts";
import { parseStoreDirectory, parseStorePath, type StorePath } from "../format/store-path.ts";
import { areOfOneLineage, compareDerivations } from "./reasons.ts";
import { type Made, shellDerivation, type ShellOptions } from "./workbench.test.support.ts";

const directory = parseStoreDirectory("/s");
const source = (digit: string, name = "src"): StorePath =>
  parseStorePath(`/s/${digit.repeat(32)}-${name}`);
const input = (variant: string): Made => {
  const derivation = shellDerivation(directory, "lib", "", { env: { V: variant } });
  return { drvPath: derivationPath(derivation), derivation };
};

const table: [what: string, old: ShellOptions, now: ShellOptions, difference: object][] = [
  ["nothing", {}, {}, {}],
  ["a variable", { env: { A: "1" } }, { env: { A: "2" } }, { changes: ['env.A "1" -> "2"'] }],
  ["a variable that is gone", { env: { A: "1" } }, {}, { changes: ['env.A "1" -> unset'] }],
  [
    "a source",
    { sources: { s: source("1") } },
    { sources: { s: source("2") } },
    { inputs: ["src"], sources: [{ name: "src", was: source("1"), is: source("2") }] },
  ],
  [
    "another source",
    { sources: { s: source("1") } },
    { sources: { s: source("1", "other") } },
    { inputs: ["src", "other"], changes: ['env.s "src" -> "other"'] },
  ],
  ["an input", { inputs: { l: input("1") } }, { inputs: { l: input("2") } }, { inputs: ["lib"] }],
  ["the arguments", { args: ["a"] }, { args: ["b"] }, { changes: ["args"] }],
  [
    "the arguments, which a variable repeats",
    { args: ["a"], env: { args: "a" } },
    { args: ["b"], env: { args: "b" } },
    { changes: ["args"] },
  ],
  ["the builder", {}, { builder: "/bin/bash" }, { changes: ['builder "/bin/sh" -> "/bin/bash"'] }],
  [
    "the outputs",
    { fixed: { method: "flat", hash: sha256("1") } },
    { fixed: { method: "flat", hash: sha256("2") } },
    { changes: ["outputs"] },
  ],
];
for (const [what, old, now, difference] of table) {
  test(`derivations that differ in ${what} are told apart by it`, () => {
    const [a, b] = [old, now].map((options) => shellDerivation(directory, "x", "script", options));
    assert.ok(a && b);
    assert.deepEqual(compareDerivations(a, b), difference);
  });
}

const greeting: ShellOptions = { args: ["-c", "cat $src > $out"], sources: { src: source("1") } };
const lineages: [what: string, old: ShellOptions, now: ShellOptions, isOne: boolean][] = [
  ["another script", greeting, { ...greeting, args: ["-c", "sort $src > $out"] }, true],
  ["another content", greeting, { ...greeting, sources: { src: source("2") } }, true],
  ["one more input", greeting, { ...greeting, inputs: { lib: input("1") } }, true],
  ["all that makes it", greeting, { args: ["-c", "echo Hello! > $out"] }, false],
];
for (const [what, old, now, isOne] of lineages) {
  test(`a derivation with ${what} is ${isOne ? "the same one, changed" : "another project's"}`, () => {
    const [a, b] = [old, now].map((options) => shellDerivation(directory, "x", "script", options));
    assert.ok(a && b);
    assert.equal(areOfOneLineage(a, b), isOne);
  });
}

test("what is fetched is the same thing by its address or by its content", () => {
  const fetched = (url: string, content: string): Derivation => ({
    ...shellDerivation(directory, "logo.svg", "", {
      env: { url },
      fixed: { method: "flat", hash: sha256(content) },
    }),
    builder: "builtin:fetchurl",
  });
  const old = fetched("https://a.example/logo.svg", "1");
  assert.ok(areOfOneLineage(old, fetched("https://a.example/logo.svg", "2")));
  assert.ok(areOfOneLineage(old, fetched("https://mirror.example/logo.svg", "1")));
  assert.ok(!areOfOneLineage(old, fetched("https://b.example/logo.svg", "2")));
});
