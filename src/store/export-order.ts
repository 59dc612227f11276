/**
 * The order of the objects in an export, which is zb's, so that a closure exports to the same bytes.
 *
 * For each requested path in turn: its closure without what is already placed, sorted, and then, for s = 0, 1, …, the first object
 * at or after s whose references are all placed is swapped with the one at s. References to itself and to objects of earlier
 * requests do not count.
 */
import { compareBytes } from "../util/byte-string.ts";
import { Pacer } from "../util/pacer.ts";

/**
 * Every object reachable from `requested`, once, after all that it refers to. Others get their turn meanwhile.
 *
 * @throws RangeError when references form a circle, which content addresses make impossible
 */
export async function exportOrder<Path extends string>(
  requested: Iterable<Path>,
  referencesOf: (path: Path) => readonly Path[],
): Promise<Path[]> {
  const order: Path[] = [];
  const placed = new Set<Path>();
  for (const path of requested) {
    const added = [...reach(path, placed, referencesOf)].toSorted(compareBytes);
    for (const next of await placeInOrder(added, referencesOf)) {
      order.push(next);
      placed.add(next);
    }
  }
  return order;
}

function reach<Path>(
  start: Path,
  without: ReadonlySet<Path>,
  referencesOf: (path: Path) => readonly Path[],
): Set<Path> {
  const reached = new Set<Path>(without.has(start) ? [] : [start]);
  // A set can grow while it is walked.
  for (const path of reached) {
    for (const reference of referencesOf(path)) if (!without.has(reference)) reached.add(reference);
  }
  return reached;
}

/**
 * The swapping, without looking for the first ready object each time: an object that is ready stays where it is until it is
 * chosen (only unready ones are swapped away), so the ready positions can wait in a heap.
 */
async function placeInOrder<Path>(
  objects: Path[],
  referencesOf: (path: Path) => readonly Path[],
): Promise<Path[]> {
  const pacer = new Pacer();
  const positions = new Map(objects.map((path, position) => [path, position]));
  const unplaced = new Map<Path, number>();
  const referrers = new Map<Path, Path[]>();
  const ready = new Heap();
  for (const [position, path] of objects.entries()) {
    if (pacer.due) await pacer.pause();
    const references = new Set(referencesOf(path));
    references.delete(path);
    let count = 0;
    for (const reference of references) {
      if (!positions.has(reference)) continue;
      count++;
      const known = referrers.get(reference);
      if (known === undefined) referrers.set(reference, [path]);
      else known.push(path);
    }
    unplaced.set(path, count);
    if (count === 0) ready.push(position);
  }
  for (let s = 0; s < objects.length; s++) {
    if (pacer.due) await pacer.pause();
    const position = ready.pop();
    const chosen = position === undefined ? undefined : objects[position];
    const displaced = objects[s];
    if (position === undefined || chosen === undefined || displaced === undefined) {
      throw new RangeError("references form a circle");
    }
    objects[position] = displaced;
    positions.set(displaced, position);
    objects[s] = chosen;
    positions.set(chosen, s);
    for (const referrer of referrers.get(chosen) ?? []) {
      const left = (unplaced.get(referrer) ?? 0) - 1;
      unplaced.set(referrer, left);
      if (left === 0) ready.push(positions.get(referrer) ?? 0);
    }
  }
  return objects;
}

/** The smallest of some numbers first. */
class Heap {
  readonly #items: number[] = [];

  push(item: number): void {
    let at = this.#items.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = this.#at(parent);
      if (above <= item) break;
      this.#items[at] = above;
      at = parent;
    }
    this.#items[at] = item;
  }

  pop(): number | undefined {
    const first = this.#items[0];
    const last = this.#items.pop();
    if (last === undefined || this.#items.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (this.#at(child + 1) < this.#at(child)) child++;
      if (this.#at(child) >= last) break;
      this.#items[at] = this.#at(child);
      at = child;
    }
    this.#items[at] = last;
    return first;
  }

  #at(index: number): number {
    return this.#items[index] ?? Infinity;
  }
}
