import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { exportOrder } from "./export-order.ts";

/** Word for word what zb does: look for the first ready object each time. */
function naiveOrder(requested: string[], referencesOf: (path: string) => string[]): string[] {
  const order: string[] = [];
  for (const root of requested) {
    const closure = new Set<string>();
    const visit = (path: string): void => {
      if (closure.has(path)) return;
      closure.add(path);
      referencesOf(path).forEach(visit);
    };
    visit(root);
    const list = [...closure].filter((path) => !order.includes(path)).toSorted();
    for (let s = 0; s < list.length; s++) {
      const settled = new Set(list.slice(0, s));
      const found = list.findIndex(
        (path, i) =>
          i >= s &&
          referencesOf(path).every(
            (reference) =>
              reference === path || settled.has(reference) || !list.includes(reference),
          ),
      );
      const a = list[s] ?? "";
      list[s] = list[found] ?? "";
      list[found] = a;
    }
    order.push(...list);
  }
  return order;
}

/** Graphs without circles (but with self references): node i refers to lower numbers, and has a name that tells nothing. */
const graphs = fc.integer({ min: 1, max: 30 }).chain((size) =>
  fc.record({
    names: fc.uniqueArray(fc.string({ minLength: 1, maxLength: 3 }), {
      minLength: size,
      maxLength: size,
    }),
    edges: fc.array(fc.tuple(fc.nat(size - 1), fc.nat(size - 1)), { maxLength: size * 3 }),
    requested: fc.array(fc.nat(size - 1), { maxLength: 4 }),
  }),
);

test("the order is the one that swapping with the first ready object gives", async () => {
  await fc.assert(
    fc.asyncProperty(graphs, async ({ names, edges, requested }) => {
      const references = new Map<string, string[]>(names.map((name) => [name, []]));
      for (const [a, b] of edges) {
        references.get(names[Math.max(a, b)] ?? "")?.push(names[Math.min(a, b)] ?? "");
      }
      const of = (path: string): string[] => references.get(path) ?? [];
      const roots = requested.map((i) => names[i] ?? "");
      assert.deepEqual(await exportOrder(roots, of), naiveOrder(roots, of));
    }),
    { numRuns: 500 },
  );
});

test("no requested path gives no object, and one requested twice comes once", async () => {
  assert.deepEqual(await exportOrder([], () => []), []);
  assert.deepEqual(await exportOrder(["a", "a"], () => []), ["a"]);
});

function name(i: number): string {
  return `object-${String(i).padStart(6, "0")}`;
}

test("20,000 objects in a chain whose names are in the wrong order are ordered at once", async () => {
  const chain = new Map<string, string[]>();
  for (let i = 0; i < 20_000; i++) chain.set(name(i), i === 19_999 ? [] : [name(i + 1)]);
  const start = performance.now();
  const order = await exportOrder([name(0)], (path) => chain.get(path) ?? []);
  assert.equal(order[0], name(19_999));
  assert.equal(order.length, 20_000);
  assert.ok(performance.now() - start < 2000);
});

test("a circle is an error and not an endless search", async () => {
  await assert.rejects(
    exportOrder<string>(["a"], (path) => (path === "a" ? ["b"] : ["a"])),
    RangeError,
  );
});
