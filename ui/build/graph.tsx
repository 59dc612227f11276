/** The derivations of a build and what they need, as a drawing. */
import { type ReactElement, useEffect, useMemo, useState } from "react";
import { duration, elapsed } from "../format.ts";
import { type DrawnNode, Drawing } from "../graph/drawing.tsx";
import { resultHref } from "../parts/bits.tsx";
import { StateIcon } from "../parts/state.tsx";
import { timeOf } from "./critical-path.ts";
import { fold, type FoldedNode } from "./fold.ts";
import type { LiveBuild } from "./live-build.ts";

/** Derivations that are drawn by themselves. */
const limit = 150;
/** Derivations that come out of a fold when it is opened. */
const opening = 50;

export function Graph(props: {
  build: LiveBuild;
  critical: ReadonlySet<string>;
  now: number;
  onFolded: (count: number) => void;
}): ReactElement {
  const { build, critical, now, onFolded } = props;
  const [opened, setOpened] = useState<ReadonlyMap<string, number>>(new Map());
  const [goTo, setGoTo] = useState<string>();
  // What is folded is decided when the drawing is made, and again when other derivations come: a change of state only changes colours.
  const shape = useMemo(
    () => fold(build.results, { critical, opened, limit }),
    // oxlint-disable-next-line react/exhaustive-deps
    [build.results.size, opened, build.endedAt === null],
  );
  const nodes = useMemo(() => new Map(shape.nodes.map((node) => [node.id, node])), [shape]);
  const ids = useMemo(() => [...nodes.keys()], [nodes]);
  useEffect(() => onFolded(shape.folded), [shape, onFolded]);
  const draw = (id: string): DrawnNode => {
    const node = nodes.get(id);
    if (node?.isFolded === true) {
      return foldedNode(node, () => {
        setOpened(new Map(opened).set(id, (opened.get(id) ?? 0) + opening));
        setGoTo(node.members[0]?.drvPath);
      });
    }
    const result = build.results.get(node?.members[0]?.drvPath ?? id);
    const { name = id, state = "waiting", inputs = [] } = result ?? {};
    const text = result === undefined ? "" : timeText(result, now);
    return {
      className: `n-${state}${critical.has(id) ? " critical" : ""}`,
      to: resultHref(build.id, id),
      content: <Content state={state} title={name} text={text} more={`needs ${inputs.length}`} />,
    };
  };
  return (
    <Drawing
      label="Graph of derivations; the list of results says the same"
      ids={ids}
      edges={shape.edges}
      draw={draw}
      critical={critical}
      goTo={goTo}
    />
  );
}

function foldedNode({ members, state }: FoldedNode, open: () => void): DrawnNode {
  return {
    className: `n-${state} folded`,
    to: open,
    content: (
      <Content
        state={state}
        title={`${members.length} ${state}`}
        text={`${members[0]?.name}, …`}
        more="folded: open"
      />
    ),
  };
}

function Content(props: {
  state: string;
  title: string;
  text: string;
  /** What others see in the drawing. */
  more: string;
}): ReactElement {
  const { state, title, text, more } = props;
  return (
    <>
      <span className={`s-${state}`}>
        <StateIcon state={state} />
      </span>
      <span className="label">
        <b>
          {title}
          <span className="visually-hidden">{`, ${state}, `}</span>
        </b>
        <span>
          {text}
          <span className="visually-hidden">{`, ${more}`}</span>
        </span>
      </span>
    </>
  );
}

function timeText(result: FoldedNode["members"][number], now: number): string {
  const { state, estimateMs } = result;
  if (state === "running") {
    const usual = estimateMs === null ? "" : ` of ~${duration(estimateMs)}`;
    return `${elapsed(timeOf(result, now))}${usual}`;
  }
  if (state === "waiting") return estimateMs === null ? "waiting" : `~${duration(estimateMs)}`;
  if (state === "reused" || state === "skipped") return state;
  return duration(timeOf(result, now));
}
