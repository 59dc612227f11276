import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { topoSort } from "./topo-sort.ts";

const sort = (roots: string, graph: Record<string, string>): ReturnType<typeof topoSort<string>> =>
  topoSort(roots, (node) => graph[node] ?? "");

test("dependencies come first, each node once", () => {
  assert.deepEqual(sort("ab", { a: "cd", b: "d", c: "e", d: "e" }), {
    order: ["e", "c", "d", "a", "b"],
  });
});

test("nothing is sorted to nothing", () => {
  assert.deepEqual(sort("", {}), { order: [] });
});

test("a cycle is reported from its first node reached, in the direction of dependence", () => {
  assert.deepEqual(sort("a", { a: "b", b: "cd", c: "", d: "e", e: "b" }), {
    cycle: ["b", "d", "e"],
  });
  assert.deepEqual(sort("a", { a: "a" }), { cycle: ["a"] });
});

test("a chain of 200,000 nodes needs no deep stack", () => {
  const sorted = topoSort([0], (node) => (node < 200_000 ? [node + 1] : []));
  assert.ok("order" in sorted);
  assert.equal(sorted.order.length, 200_001);
});

test("in any graph without cycles every dependency precedes its dependents", () => {
  const graphs = fc.array(fc.array(fc.nat(40), { maxLength: 5 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(graphs, (edges) => {
      const of = (node: number): number[] => (edges[node] ?? []).filter((other) => other < node);
      const sorted = topoSort(edges.keys(), of);
      assert.ok("order" in sorted);
      assert.equal(new Set(sorted.order).size, edges.length);
      const place = new Map(sorted.order.map((node, i) => [node, i]));
      for (const [node, i] of place) {
        assert.ok(of(node).every((other) => (place.get(other) ?? Infinity) < i));
      }
    }),
  );
});
