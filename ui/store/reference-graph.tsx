/** What an object needs, or what needs it, as a drawing of the largest of these. */
import { type ReactElement, useMemo, useState } from "react";
import { apiUrl, useJson } from "../api.ts";
import type { ClosureMessage } from "../api.ts";
import { bytes, number, plural } from "../format.ts";
import { type DrawnNode, Drawing } from "../graph/drawing.tsx";
import { Fault, Loading, objectHref, Panel, Segments } from "../parts/bits.tsx";

/** Objects that are drawn. */
const limit = 60;

export function ReferenceGraph({ path }: { path: string }): ReactElement {
  const [of, setOf] = useState<"references" | "referrers">("references");
  const url = apiUrl("/objects/closure", { path, limit, referrers: of === "referrers" });
  const { data, error } = useJson<ClosureMessage>(url);
  const nodes = useMemo(() => new Map(data?.nodes.map((node) => [node.path, node])), [data]);
  const ids = useMemo(() => [...nodes.keys()], [nodes]);
  const edges = useMemo(
    () =>
      Array.from(nodes.values(), (node) =>
        node.references
          .filter((from) => from !== node.path && nodes.has(from))
          .map((from) => ({ from, to: node.path })),
      ).flat(),
    [nodes],
  );
  const draw = (id: string): DrawnNode => {
    const { name = id, narSize = 0, references = [] } = nodes.get(id) ?? {};
    return {
      className: `n-object${id === path ? " critical" : ""}`,
      to: objectHref(id),
      content: (
        <span className="label">
          <b>
            {name}
            <span className="visually-hidden">, </span>
          </b>
          <span>
            {bytes(narSize)}
            <span className="visually-hidden">{`, refers to ${references.length}`}</span>
          </span>
        </span>
      ),
    };
  };
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
      {data === undefined ? (
        <div className="graph-box" />
      ) : (
        <Drawing
          label="Graph of references; the lists of references and referrers say the same"
          ids={ids}
          edges={edges}
          draw={draw}
        />
      )}
    </Panel>
  );
}
