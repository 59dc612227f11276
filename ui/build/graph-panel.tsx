/** The graph in its place on the page: drawn when it is first seen, with what the longest running builder says below it. */
import { type ReactElement, useEffect, useRef, useState } from "react";
import { useLocation } from "wouter";
import { textOf } from "../log/sgr.ts";
import { PageLink, Panel, resultHref } from "../parts/bits.tsx";
import { StateIcon } from "../parts/state.tsx";
import { timeOf } from "./critical-path.ts";
import { Graph } from "./graph.tsx";
import type { LiveBuild, LiveResult } from "./live-build.ts";

export function GraphPanel(props: {
  build: LiveBuild;
  critical: ReadonlySet<string>;
  now: number;
  running: readonly LiveResult[];
}): ReactElement {
  const { build, critical, now, running } = props;
  const [isSeen, setSeen] = useState(false);
  const [folded, setFolded] = useState(0);
  const [, navigate] = useLocation();
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const observer = new IntersectionObserver((entries) => {
      if (entries.some(({ isIntersecting }) => isIntersecting)) setSeen(true);
    });
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const [longest] = running.toSorted((a, b) => timeOf(b, now) - timeOf(a, now));
  const size = build.results.size;
  return (
    <Panel
      id="graph"
      title="Graph"
      aside={`${size}${folded > 0 ? `, of which ${folded} folded` : ""}`}
    >
      <div ref={box}>
        {isSeen && size > 0 ? (
          <Graph build={build} critical={critical} now={now} onFolded={setFolded} />
        ) : (
          <div className="graph-box" />
        )}
      </div>
      <div className="graph-legend">
        <span className="ember" aria-hidden="true" /> critical path{" "}
        <span>dashed: not begun, ~ with the time it took before</span>
        {folded > 0 && <span>double frame: several, open it</span>}
      </div>
      {longest?.lastLines !== undefined && (
        <div className="tail">
          <header>
            <StateIcon state="running" />
            <b>{longest.name}</b> <span className="quiet">last lines</span>
            <PageLink to={resultHref(build.id, longest.drvPath)}>Whole log</PageLink>
          </header>
          <pre onDoubleClick={() => navigate(resultHref(build.id, longest.drvPath))}>
            {longest.lastLines.map(textOf).join("\n")}
          </pre>
        </div>
      )}
    </Panel>
  );
}
