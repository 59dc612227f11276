/** What an object needs, or what needs it, as a drawing of the largest of these. */
import "@xyflow/react/dist/base.css";
import {
  Background,
  Controls,
  Handle,
  type Node,
  type NodeProps,
  Position,
  ReactFlow,
} from "@xyflow/react";
import { type ReactElement, useEffect, useState } from "react";
import { useLocation } from "wouter";
import { apiUrl, useJson } from "../api.ts";
import type { ClosureMessage } from "../api.ts";
import { layout, type Place } from "../build/layout.ts";
import { bytes, number, plural } from "../format.ts";
import { Fault, Loading, objectHref, Panel, Segments } from "../parts/bits.tsx";

/** Objects that are drawn. */
const limit = 60;

type ObjectNode = Node<
  { readonly name: string; readonly size: number; readonly isFirst: boolean },
  "object"
>;

const nodeTypes = { object: DrawnObject };

export default function ReferenceGraph({ path }: { path: string }): ReactElement {
  const [of, setOf] = useState<"references" | "referrers">("references");
  const url = apiUrl("/objects/closure", { path, limit, referrers: of === "referrers" });
  const { data, error } = useJson<ClosureMessage>(url);
  const [places, setPlaces] = useState<ReadonlyMap<string, Place>>();
  const [, navigate] = useLocation();
  const edges = (data?.nodes ?? []).flatMap((node) =>
    node.references.map((to) => ({ from: to, to: node.path })),
  );
  useEffect(() => {
    setPlaces(undefined);
    if (data === undefined) return undefined;
    let isCurrent = true;
    const place = async (): Promise<void> => {
      const found = await layout(
        data.nodes.map((node) => node.path),
        edges,
      );
      if (isCurrent) setPlaces(found);
    };
    void place();
    return () => {
      isCurrent = false;
    };
    // oxlint-disable-next-line react/exhaustive-deps
  }, [data]);
  const nodes: ObjectNode[] = (data?.nodes ?? []).flatMap((node) => {
    const position = places?.get(node.path);
    if (position === undefined) return [];
    return [
      {
        id: node.path,
        type: "object" as const,
        position,
        ariaLabel: `${node.name}, ${bytes(node.narSize)}, refers to ${node.references.length}`,
        data: { name: node.name, size: node.narSize, isFirst: node.path === path },
      },
    ];
  });
  return (
    <Panel
      title="Graph"
      aside={
        data === undefined
          ? undefined
          : `${plural(data.total, "object")}, ${bytes(data.narSize)}${
              data.total > data.nodes.length
                ? `; the ${number(data.nodes.length)} largest are drawn`
                : ""
            }`
      }
      tools={
        <Segments
          label="What to draw"
          value={of}
          options={[
            ["references", "What it needs"],
            ["referrers", "What needs it"],
          ]}
          onChange={setOf}
        />
      }
    >
      {error !== undefined && <Fault error={error} />}
      {data === undefined && error === undefined && <Loading />}
      <div className="graph-box">
        {places !== undefined && (
          <ReactFlow
            nodes={nodes}
            edges={edges.map(({ from, to }) => ({
              id: `${from} ${to}`,
              source: from,
              target: to,
              focusable: false,
            }))}
            nodeTypes={nodeTypes}
            onNodeClick={(_event, node) => navigate(objectHref(node.id))}
            nodesDraggable={false}
            nodesConnectable={false}
            edgesFocusable={false}
            elementsSelectable={false}
            fitView
            fitViewOptions={{ maxZoom: 1, padding: 0.1 }}
            minZoom={0.1}
            maxZoom={1.5}
            zoomOnScroll={false}
            preventScrolling={false}
            proOptions={{ hideAttribution: true }}
            aria-label="Graph of references; the lists of references and referrers say the same"
          >
            <Background gap={24} size={1} />
            <Controls showInteractive={false} position="bottom-right" />
          </ReactFlow>
        )}
      </div>
    </Panel>
  );
}

function DrawnObject({ data }: NodeProps<ObjectNode>): ReactElement {
  return (
    <div className={`node n-object${data.isFirst ? " critical" : ""}`}>
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <span className="label">
        <b>{data.name}</b>
        <span>{bytes(data.size)}</span>
      </span>
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
}
