// Where the nodes of a graph are drawn.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { depthsOf } from "../../ui/graph/depths.ts";
import { type Edge, layout, nodeHeight, nodeWidth, type Place } from "../../ui/graph/layout.ts";

/** Graphs without cycles: edges go from smaller numbers to larger ones. */
const graphs = fc
  .array(fc.tuple(fc.nat(29), fc.nat(29)), { maxLength: 80 })
  .map((pairs): { ids: string[]; edges: Edge[] } => {
    const edges = new Map<string, Edge>();
    for (const [a, b] of pairs) {
      const [from, to] = [String(Math.min(a, b)), String(Math.max(a, b))];
      if (from !== to) edges.set(`${from} ${to}`, { from, to });
    }
    return { ids: Array.from({ length: 30 }, (_, i) => String(i)), edges: [...edges.values()] };
  });

function placeOf(places: ReadonlyMap<string, Place>, id: string): Place {
  const place = places.get(id);
  assert.ok(place !== undefined, `no place for ${id}`);
  return place;
}

describe("the layout of a graph", () => {
  test("puts inputs left of what needs them, and no node on another or out of the drawing", () => {
    fc.assert(
      fc.property(graphs, ({ ids, edges }) => {
        const { places, width, height } = layout(ids, edges);
        for (const { from, to } of edges) {
          assert.ok(placeOf(places, from).x + nodeWidth < placeOf(places, to).x);
        }
        for (const a of ids) {
          const { x, y } = placeOf(places, a);
          assert.ok(x >= 0 && x + nodeWidth <= width && y >= -1e-6);
          assert.ok(y + nodeHeight <= height + 1e-6);
          for (const b of ids) {
            const other = placeOf(places, b);
            assert.ok(a === b || other.x !== x || Math.abs(other.y - y) > nodeHeight);
          }
        }
      }),
    );
  });

  test("leads no line over a node that it does not belong to", () => {
    fc.assert(
      fc.property(graphs, ({ ids, edges }) => {
        const { places, ways } = layout(ids, edges);
        assert.equal(ways.length, edges.length);
        for (const { from, to, through } of ways) {
          for (const { x, y } of through.slice(1, -1)) {
            for (const [id, node] of places) {
              const isHit = node.x === x && y > node.y && y < node.y + nodeHeight;
              assert.ok(!isHit, `${from} to ${to} goes over ${id}`);
            }
          }
        }
      }),
    );
  });

  test("stands a chain in a row and a fan around its middle", () => {
    const chain = layout(
      ["a", "b", "c"],
      [
        { from: "a", to: "b" },
        { from: "b", to: "c" },
      ],
    );
    assert.deepEqual(
      Array.from(chain.places.values(), ({ y }) => y),
      [0, 0, 0],
    );
    const inputs = ["1", "2", "3", "4", "5"];
    const fan = layout(
      [...inputs, "top"],
      inputs.map((from) => ({ from, to: "top" })),
    );
    assert.equal(placeOf(fan.places, "top").y, placeOf(fan.places, "3").y);
  });

  test("lays out five thousand nodes in a row of their own each without trouble", () => {
    const ids = Array.from({ length: 5000 }, (_, i) => String(i));
    const edges = ids.slice(1).map((to, i) => ({ from: String(i), to }));
    assert.equal(layout(ids, edges).places.size, 5000);
  });

  test("bears nodes that need each other, which there should not be", () => {
    const edges = [
      { from: "a", to: "b" },
      { from: "b", to: "a" },
    ];
    assert.equal(layout(["a", "b"], edges).places.size, 2);
  });
});

test("the depth of a node is the longest way to it", () => {
  const inputs: Record<string, readonly string[]> = { d: ["a", "c"], c: ["b"], b: ["a"], a: [] };
  const depths = depthsOf(["d", "c", "b", "a"], (id) => inputs[id] ?? []);
  assert.deepEqual(Object.fromEntries(depths), { a: 0, b: 1, c: 2, d: 3 });
});
