import assert from "node:assert/strict";
import { test } from "node:test";
import type { Derivation } from "../format/derivation/derivation.ts";
import { derivationPath } from "../format/derivation/print.ts";
import { sha256 } from "../format/hash.ts";
import { parseStoreDirectory, parseStorePath, type StorePath } from "../format/store-path.ts";
import { makeGraph, readClosure } from "./graph.ts";
import { type Made, shellDerivation, type ShellOptions } from "./workbench.test.support.ts";

const directory = parseStoreDirectory("/s");

function make(name: string, options: ShellOptions = {}): Made {
  const derivation = shellDerivation(directory, name, "", options);
  return { drvPath: derivationPath(derivation), derivation };
}

const source = (digit: string): StorePath => parseStorePath(`/s/${digit.repeat(32)}-src`);

const mapOf = (...list: readonly Made[]): Map<StorePath, Derivation> =>
  new Map(list.map(({ drvPath, derivation }) => [drvPath, derivation]));

test("a closure is read once for each derivation, however often it is used", async () => {
  const low = make("low");
  const left = make("left", { inputs: { low } });
  const right = make("right", { inputs: { low } });
  const top = make("top", { inputs: { left, right } });
  const all = mapOf(low, left, right, top);
  const read: StorePath[] = [];
  const closure = await readClosure([top.drvPath, top.drvPath], async (drvPath) => {
    read.push(drvPath);
    const derivation = all.get(drvPath);
    assert.ok(derivation !== undefined);
    return derivation;
  });
  assert.deepEqual(new Set(closure.keys()), new Set(all.keys()));
  assert.equal(read.length, 4);
});

test("a graph has inputs first, and knows which outputs are used", () => {
  const low = make("low", { outputs: ["dev", "doc", "out"] });
  const user = make("user", { inputs: { a: low, b: [low, "dev"] } });
  const graph = makeGraph(mapOf(user, low), new Map([[user.drvPath, ["out"]]]));
  const nodes = [...graph.nodes.values()];
  assert.deepEqual(
    nodes.map(({ drvPath }) => drvPath),
    [low.drvPath, user.drvPath],
  );
  assert.deepEqual(
    nodes.map(({ outputs }) => outputs),
    [["dev", "out"], ["out"]],
  );
});

test("derivations that may turn out equal count their used outputs together", () => {
  const a = make("two", { outputs: ["dev", "out"], sources: { SRC: source("1") } });
  const b = make("two", {
    outputs: ["dev", "out"],
    sources: { SRC: source("1") },
    env: { B: "1" },
  });
  // Only the digest of an input tells these apart, and that may be the same in the end.
  const low = make("low", { env: { V: "1" } });
  const low2 = make("low", { env: { V: "2" } });
  const c = make("three", { outputs: ["dev", "out"], inputs: { LOW: low } });
  const d = make("three", { outputs: ["dev", "out"], inputs: { LOW: low2 } });
  const wanted = new Map([
    [a.drvPath, ["out"]],
    [b.drvPath, ["dev"]],
    [c.drvPath, ["out"]],
    [d.drvPath, ["dev"]],
  ]);
  const { nodes } = makeGraph(mapOf(a, b, c, d, low, low2), wanted);
  assert.deepEqual(nodes.get(a.drvPath)?.outputs, ["out"]);
  assert.deepEqual(nodes.get(b.drvPath)?.outputs, ["dev"]);
  assert.deepEqual(nodes.get(c.drvPath)?.outputs, ["dev", "out"]);
  assert.deepEqual(nodes.get(d.drvPath)?.outputs, ["dev", "out"]);
});

test("outputs that do not exist are refused, whoever wants them", () => {
  const low = make("low");
  const user = make("user", { inputs: { a: [low, "dev"] } });
  const wanted = new Map([[user.drvPath, ["out"]]]);
  assert.throws(() => makeGraph(mapOf(user, low), wanted), {
    code: "drv.noSuchOutput",
    path: low.drvPath,
  });
  assert.throws(() => makeGraph(mapOf(low), new Map([[low.drvPath, ["x"]]])), {
    code: "drv.noSuchOutput",
  });
});

test("what cannot be built is refused, also deep down", () => {
  const bad = make("bad");
  const derivation: Derivation = {
    ...bad.derivation,
    outputs: new Map([["lib", { type: "fixed", ca: { method: "flat", hash: sha256("x") } }]]),
  };
  const user = make("user", { inputs: { a: [bad, "lib"] } });
  const all = new Map([...mapOf(user), [bad.drvPath, derivation] as const]);
  assert.throws(() => makeGraph(all, new Map([[user.drvPath, ["out"]]])), {
    code: "drv.notRealizable",
  });
});

const loop = (one: Made, other: Made): readonly [StorePath, Derivation] => [
  one.drvPath,
  { ...one.derivation, inputDerivations: new Map([[other.drvPath, ["out"]]]) },
];

test("a cycle is named", () => {
  const [a, b] = [make("a"), make("b")];
  const all = new Map([loop(a, b), loop(b, a)]);
  assert.throws(() => makeGraph(all, new Map([[a.drvPath, ["out"]]])), {
    code: "build.cycle",
    message: "a cycle: a -> b -> a",
  });
});
