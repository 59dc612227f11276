/**
 * Where a graph is drawn: in columns from left to right, inputs before what needs them. A line that passes a column has a slot there as
 * nodes have, so that it goes between them and not behind.
 *
 *     column 0    column 1    column 2
 *     [ lib ] ---- [ app ] --- [ pack ]
 *        \________ (slot) ____/
 *
 * The time is about linear in nodes and slots: a few passes over the columns order the slots and a few more place them. No library found
 * was fast enough for a drawing of 150 nodes and 652 edges to be there after 2 s with a processor four times as slow. Milliseconds of
 * processor time for these, without the slow-down: this file 20 to 43; elkjs 0.12 600 with its cheapest options (1,590 with its own);
 * d3-dag 1.2 690, longest paths, two layers and greedy; @dagrejs/dagre 3.1 1,020, longest paths.
 */
import { depthsOf } from "./depths.ts";

export interface Place {
  readonly x: number;
  readonly y: number;
}

/** From an input to what needs it. */
export interface Edge {
  readonly from: string;
  readonly to: string;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  /** The upper left corners of the nodes. */
  readonly places: ReadonlyMap<string, Place>;
  /** For each edge, where its line goes through: the middle of the left side of each slot, its own nodes included. */
  readonly ways: readonly (Edge & { readonly through: readonly Place[] })[];
}

export const nodeWidth = 170;
export const nodeHeight = 46;
const columnGap = 56;
const rowGap = 24;
/** Beside a line that passes there needs to be less room. */
const lineGap = 12;

/** Passes that put the slots of a column into an order with few crossings, and those that find their heights. */
const passes = 6;

interface Slot {
  /** Undefined for a line that passes. */
  readonly id: string | undefined;
  readonly before: Slot[];
  readonly after: Slot[];
  /** The place in its column. */
  index: number;
  /** The height of its middle. */
  y: number;
}

/** Edges are between these nodes, and no node needs itself. */
export function layout(ids: readonly string[], edges: readonly Edge[]): Layout {
  const columnOf = columnsOf(ids, edges);
  const columns: Slot[][] = [];
  const add = (column: number, id?: string): Slot => {
    const slots = (columns[column] ??= []);
    const slot = { id, before: [], after: [], index: slots.length, y: 0 };
    slots.push(slot);
    return slot;
  };
  const nodes = new Map(ids.map((id) => [id, add(columnOf.get(id) ?? 0, id)]));
  // All lines of a node that pass a column share a slot there.
  const trunks = new Map<string, Slot[]>();
  const ways = edges.flatMap(({ from, to }) => {
    const [first, last] = [nodes.get(from), nodes.get(to)];
    const start = columnOf.get(from) ?? 0;
    const length = (columnOf.get(to) ?? 0) - start;
    if (first === undefined || last === undefined || length < 1) return [];
    const trunk = trunks.get(from) ?? [first];
    trunks.set(from, trunk);
    while (trunk.length < length) {
      const next = add(start + trunk.length);
      connect(trunk.at(-1) ?? first, next);
      trunk.push(next);
    }
    connect(trunk[length - 1] ?? first, last);
    return [{ from, to, start, slots: [...trunk.slice(0, length), last] }];
  });
  alternately(columns, order);
  for (const slots of columns) settle(slots, ({ index }) => index * (nodeHeight + rowGap));
  alternately(columns, (slots, side) =>
    settle(slots, (slot) => mean(slot[side], (other) => other.y)),
  );
  const all = columns.flat();
  const top = Math.min(...all.map(({ y }) => y)) - nodeHeight / 2;
  const bottom = Math.max(...all.map(({ y }) => y)) + nodeHeight / 2;
  const xOf = (column: number): number => column * (nodeWidth + columnGap);
  return {
    width: xOf(columns.length) - columnGap,
    height: bottom - top,
    places: new Map(
      Array.from(nodes, ([id, { y }]): [string, Place] => [
        id,
        { x: xOf(columnOf.get(id) ?? 0), y: y - nodeHeight / 2 - top },
      ]),
    ),
    ways: ways.map(({ from, to, start, slots }) => ({
      from,
      to,
      through: slots.map(({ y }, i) => ({ x: xOf(start + i), y: y - top })),
    })),
  };
}

/** As far left as inputs allow; what has none stands right before the first that needs it. */
function columnsOf(ids: readonly string[], edges: readonly Edge[]): Map<string, number> {
  const inputs = new Map<string, string[]>(ids.map((id) => [id, []]));
  for (const { from, to } of edges) inputs.get(to)?.push(from);
  const columns = depthsOf(ids, (id) => inputs.get(id) ?? []);
  const firstUse = new Map<string, number>();
  for (const { from, to } of edges) {
    const use = columns.get(to) ?? 0;
    firstUse.set(from, Math.min(firstUse.get(from) ?? use, use));
  }
  for (const [id, use] of firstUse) {
    if (inputs.get(id)?.length === 0) columns.set(id, Math.max(0, use - 1));
  }
  return columns;
}

function connect(before: Slot, after: Slot): void {
  before.after.push(after);
  after.before.push(before);
}

/** Goes over the columns from right to left, looking at what comes after, and from left to right, looking back; by turns. */
function alternately(
  columns: readonly Slot[][],
  visit: (slots: Slot[], side: "before" | "after") => void,
): void {
  for (let pass = 0; pass < passes; pass++) {
    const isBack = pass % 2 === 0;
    for (const slots of isBack ? columns.toReversed() : columns) {
      visit(slots, isBack ? "after" : "before");
    }
  }
}

/** Orders a column by where its neighbours on one side are. */
function order(slots: Slot[], side: "before" | "after"): void {
  const wanted = new Map(
    slots.map((slot) => [slot, mean(slot[side], ({ index }) => index) ?? slot.index]),
  );
  slots.sort((a, b) => (wanted.get(a) ?? 0) - (wanted.get(b) ?? 0));
  for (const [index, slot] of slots.entries()) slot.index = index;
}

/**
 * Places a column's slots as near as possible to where they want to be, in their order and with room between them: those that would be
 * in each other's way form a block, which stands where its members want to be on average.
 */
function settle(slots: readonly Slot[], wanted: (slot: Slot) => number | undefined): void {
  const blocks: { sum: number; weight: number; count: number }[] = [];
  const offsets: number[] = [];
  let offset = 0;
  for (const [i, slot] of slots.entries()) {
    const before = slots[i - 1];
    if (before !== undefined) offset += distance(before, slot);
    offsets.push(offset);
    const want = wanted(slot);
    // What has no wish stays, unless others come.
    const weight = want === undefined ? 0.1 : 1;
    let block = { sum: ((want ?? slot.y) - offset) * weight, weight, count: 1 };
    for (let last = blocks.at(-1); last !== undefined; last = blocks.at(-1)) {
      if (last.sum / last.weight < block.sum / block.weight) break;
      blocks.pop();
      block = {
        sum: last.sum + block.sum,
        weight: last.weight + block.weight,
        count: last.count + block.count,
      };
    }
    blocks.push(block);
  }
  let i = 0;
  for (const { sum, weight, count } of blocks) {
    for (const end = i + count; i < end; i++) {
      const slot = slots[i];
      if (slot !== undefined) slot.y = sum / weight + (offsets[i] ?? 0);
    }
  }
}

/** Between the middles of two slots. */
function distance(a: Slot, b: Slot): number {
  const heights = [a, b].map(({ id }) => (id === undefined ? 0 : nodeHeight / 2));
  const gap = a.id === undefined || b.id === undefined ? lineGap : rowGap;
  return heights.reduce((sum, height) => sum + height, gap);
}

function mean(slots: readonly Slot[], of: (slot: Slot) => number): number | undefined {
  if (slots.length === 0) return undefined;
  return slots.reduce((sum, slot) => sum + of(slot), 0) / slots.length;
}
