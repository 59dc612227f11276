/** The order, or the cycle that forbids one: each element depends on the next, the last on the first. */
export type TopoSorted<T> = { readonly order: T[] } | { readonly cycle: T[] };

/**
 * Everything reachable from `roots`, dependencies first, each once; linear in nodes and edges, without recursion.
 * The order is that of a depth-first walk which takes roots and dependencies as they come.
 */
export function topoSort<T>(
  roots: Iterable<T>,
  dependenciesOf: (node: T) => Iterable<T>,
): TopoSorted<T> {
  const order: T[] = [];
  const state = new Map<T, "open" | "done">();
  const stack: { node: T; rest: Iterator<T> }[] = [];
  const enter = (node: T): void => {
    state.set(node, "open");
    stack.push({ node, rest: dependenciesOf(node)[Symbol.iterator]() });
  };
  for (const root of roots) {
    if (state.has(root)) continue;
    enter(root);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const next = top.rest.next();
      if (next.done === true) {
        state.set(top.node, "done");
        order.push(top.node);
        stack.pop();
      } else if (!state.has(next.value)) {
        enter(next.value);
      } else if (state.get(next.value) === "open") {
        const path = stack.map((entry) => entry.node);
        return { cycle: path.slice(path.indexOf(next.value)) };
      }
    }
  }
  return { order };
}
