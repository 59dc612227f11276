/** Where the nodes of a graph are drawn: found out in a worker. */
import ELK from "elkjs/lib/elk-api.js";
import workerUrl from "elkjs/lib/elk-worker.min.js?url";

export interface Place {
  readonly x: number;
  readonly y: number;
}

export const nodeWidth = 170;
export const nodeHeight = 46;

let elk: InstanceType<typeof ELK> | undefined;

/** From left to right: inputs before what needs them. */
export async function layout(
  nodes: readonly string[],
  edges: readonly { readonly from: string; readonly to: string }[],
): Promise<ReadonlyMap<string, Place>> {
  elk ??= new ELK({ workerFactory: () => new Worker(workerUrl) });
  const graph = await elk.layout({
    id: "root",
    layoutOptions: {
      "elk.algorithm": "layered",
      "elk.direction": "RIGHT",
      "elk.spacing.nodeNode": "24",
      "elk.layered.spacing.nodeNodeBetweenLayers": "44",
      "elk.layered.considerModelOrder.strategy": "NODES_AND_EDGES",
    },
    children: nodes.map((id) => ({ id, width: nodeWidth, height: nodeHeight })),
    edges: edges.map(({ from, to }) => ({ id: `${from} ${to}`, sources: [from], targets: [to] })),
  });
  return new Map(
    (graph.children ?? []).map(({ id, x = 0, y = 0 }): [string, Place] => [id, { x, y }]),
  );
}
