/** Objects and their references, as people look at them. Pure. */
import type { StorePath } from "../format/store-path.ts";
import type { ListedObjectMessage, ObjectNodeMessage } from "../rpc/protocol.ts";
import { size } from "./text.ts";

export class ObjectGraph {
  readonly nodes: ReadonlyMap<StorePath, ObjectNodeMessage>;

  constructor(objects: Iterable<ObjectNodeMessage>) {
    this.nodes = new Map(Array.from(objects, (object) => [object.path, object]));
  }

  /** What an object refers to in the graph, itself left out, sorted by path. */
  references(path: StorePath): readonly StorePath[] {
    const references = this.nodes.get(path)?.references ?? [];
    return references.filter((other) => other !== path && this.nodes.has(other));
  }

  /** The same objects with references the other way. */
  reversed(): ObjectGraph {
    const referrers = new Map<StorePath, StorePath[]>();
    for (const path of this.nodes.keys()) referrers.set(path, []);
    for (const path of this.nodes.keys()) {
      for (const reference of this.references(path)) referrers.get(reference)?.push(path);
    }
    return this.with((path) => (referrers.get(path) ?? []).toSorted());
  }

  /** All that can be reached from `paths`, with themselves. */
  reachable(paths: Iterable<StorePath>): Set<StorePath> {
    const reached = new Set(paths);
    // The set grows while it is walked.
    for (const path of reached)
      for (const reference of this.references(path)) reached.add(reference);
    return reached;
  }

  /** Bytes of the NARs of an object and all it refers to. */
  closureSize(path: StorePath): number {
    let sum = 0;
    for (const reached of this.reachable([path])) sum += this.nodes.get(reached)?.narSize ?? 0;
    return sum;
  }

  /** The shortest way from one object to another, both included; undefined when there is none. */
  chain(from: StorePath, to: StorePath): StorePath[] | undefined {
    const cameFrom = new Map<StorePath, StorePath | undefined>([[from, undefined]]);
    for (const [path] of cameFrom) {
      if (path === to) break;
      for (const reference of this.references(path)) {
        if (!cameFrom.has(reference)) cameFrom.set(reference, path);
      }
    }
    if (!cameFrom.has(to)) return undefined;
    const chain: StorePath[] = [];
    for (let at: StorePath | undefined = to; at !== undefined; at = cameFrom.get(at)) {
      chain.unshift(at);
    }
    return chain;
  }

  /** Those objects alone for which `references` gives something, with these references. */
  with(references: (path: StorePath) => readonly StorePath[] | undefined): ObjectGraph {
    return new ObjectGraph(
      [...this.nodes.values()].flatMap((node) => {
        const chosen = references(node.path);
        return chosen === undefined ? [] : [{ ...node, references: chosen }];
      }),
    );
  }

  /** Those objects alone that lie on some way from one object to another. */
  between(from: StorePath, to: StorePath): ObjectGraph {
    const below = this.reachable([from]);
    const above = this.reversed().reachable([to]);
    return new ObjectGraph(
      [...this.nodes.values()].filter(({ path }) => below.has(path) && above.has(path)),
    );
  }
}

export interface TreeOptions {
  /** How many levels below the root are shown; default all. */
  readonly depth?: number | undefined;
  /** For terminals that can show no more than ASCII. */
  readonly ascii?: boolean;
  /** What stands behind a path; default nothing. */
  readonly label?: (path: StorePath) => string;
  /** Lines below a path, about its reference from the one above. */
  readonly notes?: (from: StorePath, to: StorePath) => readonly string[];
}

/** The references from `root` on as a tree. What was shown with all below it before is marked with `…`. */
export function* treeLines(
  graph: ObjectGraph,
  root: StorePath,
  options: TreeOptions = {},
): Generator<string, void, void> {
  const { depth = Infinity, ascii = false, label = () => "", notes = () => [] } = options;
  const [fork, last, bar, gap] = ascii
    ? ["|-- ", "`-- ", "|   ", "    "]
    : ["├── ", "└── ", "│   ", "    "];
  const shown = new Set<StorePath>();
  // Not recursive: references may be deeper than the call stack. The next line is the last one here.
  const stack = [{ path: root, from: root, head: "", indent: "", level: 0 }];
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { path, from, head, indent, level } = top;
    const references = graph.references(path);
    const isKnown = shown.has(path) && references.length > 0;
    yield `${head}${path}${label(path)}${isKnown ? (ascii ? " ..." : " …") : ""}`;
    const hasMore = !isKnown && level < depth && references.length > 0;
    for (const note of notes(from, path)) yield `${indent}${hasMore ? bar : gap}${note}`;
    if (!hasMore) continue;
    shown.add(path);
    for (const [i, reference] of [...references.entries()].toReversed()) {
      const isLast = i === references.length - 1;
      stack.push({
        path: reference,
        from: path,
        head: `${indent}${isLast ? last : fork}`,
        indent: `${indent}${isLast ? gap : bar}`,
        level: level + 1,
      });
    }
  }
}

/** An object with its size; the sizes of all lines are below each other. */
export function sizeLine({ path, narSize }: ListedObjectMessage): string {
  return `${size(narSize).padStart(8)}  ${path}`;
}
