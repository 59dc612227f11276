/** The derivations of a build and what they need, as a drawing. */
import "@xyflow/react/dist/base.css";
import {
  Background,
  Controls,
  type Edge,
  Handle,
  type Node,
  type NodeProps,
  Position,
  ReactFlow,
  ReactFlowProvider,
  useReactFlow,
} from "@xyflow/react";
import { type KeyboardEvent, type ReactElement, useEffect, useMemo, useState } from "react";
import { useLocation } from "wouter";
import { duration, elapsed } from "../format.ts";
import { useKeys } from "../keys.ts";
import { resultHref } from "../parts/bits.tsx";
import { StateIcon } from "../parts/state.tsx";
import { timeOf } from "./critical-path.ts";
import { fold, type FoldedNode } from "./fold.ts";
import { layout, type Place } from "./layout.ts";
import type { LiveBuild } from "./live-build.ts";

/** Derivations that are drawn by themselves. */
const limit = 150;

type GraphNode = Node<
  { readonly folded: FoldedNode; readonly isCritical: boolean; readonly text: string },
  "derivation"
>;

const nodeTypes = { derivation: DerivationNode };

export default function Graph(props: {
  build: LiveBuild;
  critical: ReadonlySet<string>;
  now: number;
  onFolded: (count: number) => void;
}): ReactElement {
  return (
    <ReactFlowProvider>
      <Drawing {...props} />
    </ReactFlowProvider>
  );
}

function Drawing(props: {
  build: LiveBuild;
  critical: ReadonlySet<string>;
  now: number;
  onFolded: (count: number) => void;
}): ReactElement {
  const { build, critical, now, onFolded } = props;
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set());
  const [places, setPlaces] = useState<ReadonlyMap<string, Place>>(new Map());
  const [, navigate] = useLocation();
  const flow = useReactFlow();
  // What is folded is decided when the drawing is made, and again when other derivations come: a change of state only changes colours.
  const shape = useMemo(
    () => fold(build.results, { critical, opened, limit }),
    // oxlint-disable-next-line react/exhaustive-deps
    [build.results.size, opened, build.endedAt === null],
  );
  useEffect(() => {
    let isCurrent = true;
    onFolded(shape.folded);
    const place = async (): Promise<void> => {
      const ids = shape.nodes.map(({ id }) => id);
      const found = await layout(ids, shape.edges);
      if (!isCurrent) return;
      setPlaces(found);
      requestAnimationFrame(() => void flow.fitView({ maxZoom: 1, padding: 0.08 }));
    };
    void place();
    return () => {
      isCurrent = false;
    };
    // oxlint-disable-next-line react/exhaustive-deps
  }, [shape]);
  const fit = (): void => void flow.fitView({ maxZoom: 1, padding: 0.08, duration: 150 });
  useKeys({ "0": fit });

  const open = (node: FoldedNode): void => {
    if (node.isFolded) setOpened(new Set([...opened, node.id]));
    else navigate(resultHref(build.id, node.members[0]?.drvPath ?? ""));
  };
  const nodes: GraphNode[] = shape.nodes.flatMap((folded) => {
    const place = places.get(folded.id);
    if (place === undefined) return [];
    const current = folded.members.map((member) => build.results.get(member.drvPath) ?? member);
    const [first] = current;
    const isCritical = !folded.isFolded && critical.has(folded.id);
    const text = nodeText(current, now);
    const needs = first?.inputs.length ?? 0;
    const name = folded.isFolded
      ? `${current.length} ${folded.state}, folded: open`
      : `${first?.name}, ${first?.state}, ${text}, needs ${needs}`;
    return [
      {
        id: folded.id,
        type: "derivation" as const,
        position: place,
        ariaLabel: name,
        data: { folded: { ...folded, members: current }, isCritical, text },
      },
    ];
  });
  const edges: Edge[] = shape.edges.map(({ from, to }) => ({
    id: `${from} ${to}`,
    source: from,
    target: to,
    focusable: false,
    className: critical.has(from) && critical.has(to) ? "critical" : "",
  }));

  /** Arrows go along the edges, and among what stands in the same column. */
  const onKeyDown = (event: KeyboardEvent): void => {
    const element = document.activeElement?.closest<HTMLElement>(".react-flow__node");
    const id = element?.dataset["id"];
    if (id === undefined) return;
    const neighbour = neighbourOf(id, event.key, shape.edges, places);
    if (event.key === "Enter") {
      const node = shape.nodes.find((candidate) => candidate.id === id);
      if (node !== undefined) open(node);
    } else if (neighbour !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      document
        .querySelector<HTMLElement>(`.react-flow__node[data-id="${CSS.escape(neighbour)}"]`)
        ?.focus();
    }
  };
  return (
    <div
      className={`graph-box${shape.nodes.length > 24 ? " tall" : ""}`}
      onKeyDownCapture={onKeyDown}
    >
      <ReactFlow
        nodes={nodes}
        edges={edges}
        nodeTypes={nodeTypes}
        onNodeClick={(_event, node) => open(node.data.folded)}
        nodesDraggable={false}
        nodesConnectable={false}
        edgesFocusable={false}
        elementsSelectable={false}
        nodesFocusable
        disableKeyboardA11y
        minZoom={0.1}
        maxZoom={1.5}
        preventScrolling={false}
        zoomOnScroll={false}
        panOnScroll={false}
        onlyRenderVisibleElements={shape.nodes.length > 80}
        proOptions={{ hideAttribution: true }}
        aria-label="Graph of derivations; the list of results says the same"
      >
        <Background gap={24} size={1} />
        <Controls showInteractive={false} position="bottom-right" />
      </ReactFlow>
    </div>
  );
}

function DerivationNode({ data }: NodeProps<GraphNode>): ReactElement {
  const { folded, isCritical, text } = data;
  const [first] = folded.members;
  const state = folded.isFolded ? folded.state : (first?.state ?? folded.state);
  return (
    <div
      className={`node n-${state}${isCritical ? " critical" : ""}${folded.isFolded ? " folded" : ""}`}
    >
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <span className={`s-${state}`}>
        <StateIcon state={state} />
      </span>
      <span className="label">
        <b>{folded.isFolded ? `${folded.members.length} ${state}` : first?.name}</b>
        <span>{folded.isFolded ? `${first?.name}, …` : text}</span>
      </span>
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
}

function nodeText(members: readonly FoldedNode["members"][number][], now: number): string {
  const [result] = members;
  if (result === undefined || members.length > 1) return "";
  const { state, estimateMs } = result;
  if (state === "running") {
    const usual = estimateMs === null ? "" : ` of ~${duration(estimateMs)}`;
    return `${elapsed(timeOf(result, now))}${usual}`;
  }
  if (state === "waiting") return estimateMs === null ? "waiting" : `~${duration(estimateMs)}`;
  if (state === "reused" || state === "skipped") return state;
  return duration(timeOf(result, now));
}

function neighbourOf(
  id: string,
  key: string,
  edges: readonly { readonly from: string; readonly to: string }[],
  places: ReadonlyMap<string, Place>,
): string | undefined {
  if (key === "ArrowRight") return edges.find(({ from }) => from === id)?.to;
  if (key === "ArrowLeft") return edges.find(({ to }) => to === id)?.from;
  if (key !== "ArrowUp" && key !== "ArrowDown") return undefined;
  const own = places.get(id);
  if (own === undefined) return undefined;
  const direction = key === "ArrowDown" ? 1 : -1;
  const column = [...places]
    .filter(([, place]) => Math.abs(place.x - own.x) < 20 && (place.y - own.y) * direction > 0)
    .toSorted(([, a], [, b]) => (a.y - b.y) * direction);
  return column[0]?.[0];
}
