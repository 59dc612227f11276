/** How deep a node of a graph is: the longest way to it from one without inputs. */

/**
 * The depths of all nodes, in linear time. `inputsOf` names nodes of the graph alone. What needs itself by a way around, which there
 * should not be, counts from where it is met first.
 */
export function depthsOf(
  ids: Iterable<string>,
  inputsOf: (id: string) => readonly string[],
): Map<string, number> {
  const depths = new Map<string, number>();
  const begun = new Set<string>();
  for (const start of ids) {
    const stack = [start];
    for (let id = stack.at(-1); id !== undefined; id = stack.at(-1)) {
      const inputs = inputsOf(id);
      const isFirst = !begun.has(id);
      begun.add(id);
      const missing = isFirst ? inputs.filter((input) => !begun.has(input)) : [];
      for (const input of missing) stack.push(input);
      if (missing.length > 0) continue;
      stack.pop();
      if (depths.has(id)) continue;
      let depth = 0;
      for (const input of inputs) depth = Math.max(depth, (depths.get(input) ?? -1) + 1);
      depths.set(id, depth);
    }
  }
  return depths;
}
