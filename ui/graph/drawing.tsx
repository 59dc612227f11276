/** A graph in a box of its own, which is scrolled, dragged and zoomed; arrows go along its edges. */
import {
  type KeyboardEvent,
  type PointerEvent,
  type ReactElement,
  type ReactNode,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { Link } from "wouter";
import { useKeys } from "../keys.ts";
import { type Edge, type Layout, layout, nodeHeight, nodeWidth, type Place } from "./layout.ts";

export interface DrawnNode {
  readonly className: string;
  /** Where it leads, or what it does. */
  readonly to: string | (() => void);
  /** Its text is its name for screen readers, too. */
  readonly content: ReactNode;
}

/** Room around the drawing. */
const margin = 16;
/** At first a drawing is made smaller to fit, but not smaller than can be read and hit. */
const smallestAtFirst = 0.75;
const [smallest, largest] = [0.05, 1.5];

export function Drawing(props: {
  label: string;
  /** Nodes and edges are laid out when these lists are others; what `draw` says of a node only changes how it looks. */
  ids: readonly string[];
  edges: readonly Edge[];
  draw: (id: string) => DrawnNode;
  /** A way through the graph, in its order, that stands out; at first its end is in the middle of the box. */
  critical?: ReadonlySet<string>;
  /** A node to go to. */
  goTo?: string | undefined;
}): ReactElement {
  const { label, ids, edges, draw, critical = new Set(), goTo } = props;
  const plan = useMemo(() => layout(ids, edges), [ids, edges]);
  const box = useRef<HTMLDivElement>(null);
  /** What is in the middle of the box, as parts of the whole. */
  const middle = useRef<Place>(undefined);
  const [scale, setScale] = useState(1);
  const [current, setCurrent] = useState<string>();
  const zoom = (next: number): void => {
    const element = box.current;
    if (element === null) return;
    const { scrollLeft, scrollTop, scrollWidth, scrollHeight, clientWidth, clientHeight } = element;
    middle.current = {
      x: (scrollLeft + clientWidth / 2) / scrollWidth,
      y: (scrollTop + clientHeight / 2) / scrollHeight,
    };
    setScale(Math.min(largest, Math.max(smallest, next)));
  };
  const fit = (): void => zoom(box.current === null ? 1 : fittingScale(box.current, plan));
  useKeys({ "0": fit });
  useLayoutEffect(() => {
    if (box.current !== null) {
      setScale(Math.max(smallestAtFirst, fittingScale(box.current, plan)));
    }
  }, [plan]);
  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return;
    middle.current ??= placeOfEnd(plan, critical);
    element.scrollLeft = middle.current.x * element.scrollWidth - element.clientWidth / 2;
    element.scrollTop = middle.current.y * element.scrollHeight - element.clientHeight / 2;
  }, [plan, scale]);
  useLayoutEffect(() => {
    if (goTo !== undefined) focusNode(box.current, goTo);
  }, [plan, goTo]);

  /** Arrows go along the edges, and among what stands in the same column. */
  const onKeyDown = (event: KeyboardEvent<HTMLElement>): void => {
    const id = event.target instanceof HTMLElement ? event.target.dataset["id"] : undefined;
    const neighbour = id === undefined ? undefined : neighbourOf(id, event.key, edges, plan.places);
    if (neighbour === undefined) return;
    event.preventDefault();
    focusNode(box.current, neighbour);
  };
  const stop = current !== undefined && plan.places.has(current) ? current : ids.at(-1);
  return (
    <div className={`graph-box${ids.length > 24 ? " tall" : ""}`}>
      <div className="graph-scroller" ref={box} role="group" aria-label={label}>
        <div className="graph-paper" style={{ padding: margin }} onPointerDown={drag}>
          <div style={{ width: plan.width * scale, height: plan.height * scale }}>
            <div
              className="graph-drawing"
              style={{ width: plan.width, height: plan.height, transform: `scale(${scale})` }}
              onKeyDown={onKeyDown}
            >
              <Lines plan={plan} critical={critical} />
              {Array.from(plan.places, ([id, { x, y }]) => {
                const { className, to, content } = draw(id);
                const same = {
                  className: `node ${className}`,
                  style: { left: x, top: y },
                  "data-id": id,
                  tabIndex: id === stop ? 0 : -1,
                  draggable: false,
                  onFocus: () => setCurrent(id),
                };
                return typeof to === "string" ? (
                  <Link key={id} href={to} {...same}>
                    {content}
                  </Link>
                ) : (
                  <button key={id} type="button" onClick={to} {...same}>
                    {content}
                  </button>
                );
              })}
            </div>
          </div>
        </div>
      </div>
      <div className="graph-controls">
        <button type="button" aria-label="Zoom in" onClick={() => zoom(scale * 1.25)}>
          <svg viewBox="0 0 16 16" className="icon" aria-hidden="true">
            <path d="M3 8h10M8 3v10" />
          </svg>
        </button>
        <button type="button" aria-label="Zoom out" onClick={() => zoom(scale / 1.25)}>
          <svg viewBox="0 0 16 16" className="icon" aria-hidden="true">
            <path d="M3 8h10" />
          </svg>
        </button>
        <button type="button" aria-label="Fit into the box" onClick={fit}>
          <svg viewBox="0 0 16 16" className="icon" aria-hidden="true">
            <path d="M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10" />
          </svg>
        </button>
      </div>
    </div>
  );
}

/** All edges are two shapes: thousands of elements would take longer to draw. */
function Lines({ plan, critical }: { plan: Layout; critical: ReadonlySet<string> }): ReactElement {
  const lines = useMemo(
    () => plan.ways.map(({ from, to, through }) => ({ from, to, line: lineThrough(through) })),
    [plan],
  );
  const way = [...critical];
  const nextOf = new Map(way.slice(1).map((id, i) => [way[i], id]));
  const [plain, strong] = [false, true].map((isStrong) =>
    lines
      .filter(({ from, to }) => (nextOf.get(from) === to) === isStrong)
      .map(({ line }) => line)
      .join(""),
  );
  return (
    <svg className="graph-lines" width={plan.width} height={plan.height} aria-hidden="true">
      <path d={plain} />
      <path d={strong} className="critical" />
    </svg>
  );
}

/** Level through each slot, and curved between them. */
function lineThrough(places: readonly Place[]): string {
  const parts: string[] = [];
  for (const [i, { x, y }] of places.entries()) {
    const before = places[i - 1];
    if (before === undefined) {
      parts.push(`M${x + nodeWidth} ${y}`);
      continue;
    }
    const start = before.x + nodeWidth;
    const bend = (start + x) / 2;
    parts.push(`C${bend} ${before.y} ${bend} ${y} ${x} ${y}`);
    if (i < places.length - 1) parts.push(`H${x + nodeWidth}`);
  }
  return parts.join("");
}

/** Where a way through the graph ends, as parts of the whole; without one, where the targets are, at the right. */
function placeOfEnd({ places, width, height }: Layout, way: ReadonlySet<string>): Place {
  const end = [...way].map((id) => places.get(id)).findLast((place) => place !== undefined);
  if (end === undefined) return { x: 1, y: 0.5 };
  return { x: (end.x + nodeWidth) / width, y: (end.y + nodeHeight / 2) / height };
}

function fittingScale(
  { clientWidth, clientHeight }: HTMLElement,
  { width, height }: Layout,
): number {
  const room = [(clientWidth - 2 * margin) / width, (clientHeight - 2 * margin) / height];
  return Math.min(1, ...room);
}

/** A mouse drags the paper; fingers and wheels scroll by themselves. */
function drag(event: PointerEvent<HTMLElement>): void {
  const { currentTarget: paper, target, clientX, clientY, pointerId } = event;
  const box = paper.parentElement;
  const isOnNode = target instanceof Element && target.closest("[data-id]") !== null;
  if (box === null || event.pointerType !== "mouse" || event.button !== 0 || isOnNode) return;
  const { scrollLeft, scrollTop } = box;
  const move = (moved: globalThis.PointerEvent): void =>
    box.scrollTo(scrollLeft + clientX - moved.clientX, scrollTop + clientY - moved.clientY);
  paper.setPointerCapture(pointerId);
  paper.addEventListener("pointermove", move);
  paper.addEventListener(
    "lostpointercapture",
    () => paper.removeEventListener("pointermove", move),
    { once: true },
  );
}

function focusNode(box: HTMLElement | null, id: string): void {
  box?.querySelector<HTMLElement>(`[data-id="${CSS.escape(id)}"]`)?.focus();
}

function neighbourOf(
  id: string,
  key: string,
  edges: readonly Edge[],
  places: ReadonlyMap<string, Place>,
): string | undefined {
  if (key === "ArrowRight") return edges.find(({ from }) => from === id)?.to;
  if (key === "ArrowLeft") return edges.find(({ to }) => to === id)?.from;
  if (key !== "ArrowUp" && key !== "ArrowDown") return undefined;
  const own = places.get(id);
  if (own === undefined) return undefined;
  const direction = key === "ArrowDown" ? 1 : -1;
  const column = [...places]
    .filter(([, place]) => place.x === own.x && (place.y - own.y) * direction > 0)
    .toSorted(([, a], [, b]) => (a.y - b.y) * direction);
  return column[0]?.[0];
}
