import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseStorePath, type StorePath } from "../format/store-path.ts";
import { ObjectGraph, sizeLine, treeLines } from "./object-graph.ts";

/** `a` stands for `/s/aaaa…-a`. */
function path(name: string): StorePath {
  return parseStorePath(`/s/${name.repeat(32)}-${name}`);
}

function graphOf(references: Readonly<Record<string, string>>): ObjectGraph {
  return new ObjectGraph(
    Object.entries(references).map(([name, others], i) => ({
      path: path(name),
      narSize: 1000 * 2 ** i,
      references: others.split("").map(path),
    })),
  );
}

function short(line: string): string {
  return line.replaceAll(/\/s\/(.)\1{31}-\1/g, "$1");
}

const diamond = graphOf({ a: "bc", b: "d", c: "cd", d: "f", f: "" });

describe("a tree", () => {
  test("shows what was shown before without what is below it", () => {
    assert.deepEqual([...treeLines(diamond, path("a"))].map(short), [
      "a",
      "├── b",
      "│   └── d",
      "│       └── f",
      "└── c",
      "    └── d …",
    ]);
  });

  test("has labels, notes, an end, and a form for poor terminals", () => {
    const options = {
      depth: 1,
      ascii: true,
      label: (at: StorePath) => ` ${diamond.closureSize(at)}`,
      notes: (from: StorePath, to: StorePath) => (from === to ? [] : ["by", "it"]),
    };
    assert.deepEqual([...treeLines(diamond, path("a"), options)].map(short), [
      "a 31000",
      "|-- b 26000",
      "|       by",
      "|       it",
      "`-- c 28000",
      "        by",
      "        it",
    ]);
  });

  test("can be deeper than the call stack", () => {
    const deep = Array.from({ length: 20_000 }, (_, i) =>
      parseStorePath(`/s/${"0".repeat(32)}-${i}`),
    );
    const graph = new ObjectGraph(
      deep.map((at, i) => ({ path: at, narSize: 1, references: deep.slice(i + 1, i + 2) })),
    );
    let lines = 0;
    for (const _line of treeLines(graph, deep[0]!, { depth: 5000 })) lines++;
    assert.equal(lines, 5001);
    assert.equal(graph.chain(deep[0]!, deep.at(-1)!)?.length, 20_000);
  });
});

describe("dependence", () => {
  test("has a shortest way, if any", () => {
    const graph = graphOf({ a: "bd", b: "c", c: "d", d: "f", f: "" });
    assert.deepEqual(graph.chain(path("a"), path("f"))?.map(short), ["a", "d", "f"]);
    assert.deepEqual(graph.chain(path("a"), path("a"))?.map(short), ["a"]);
    assert.equal(graph.chain(path("f"), path("a")), undefined);
  });

  test("has objects in between, and no others", () => {
    const graph = graphOf({ a: "bcd", b: "d", c: "1", d: "0", "0": "", "1": "" });
    const between = graph.between(path("a"), path("d"));
    assert.deepEqual([...between.nodes.keys()].map(short), ["a", "b", "d"]);
    assert.deepEqual(between.references(path("d")), []);
  });

  test("can be followed the other way", () => {
    assert.deepEqual([...treeLines(diamond.reversed(), path("d"))].map(short), [
      "d",
      "├── b",
      "│   └── a",
      "└── c",
      "    └── a",
    ]);
  });
});

test("sizes stand in a column", () => {
  assert.equal(sizeLine({ path: path("x"), narSize: 12 }), `    12 B  ${path("x")}`);
  const largest = { path: path("y"), narSize: 1023 * 1024 };
  assert.equal(sizeLine(largest), `1023 KiB  ${path("y")}`);
});
