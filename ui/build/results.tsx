/** All results of a build in text: what the graph shows, and more. */
import { type ReactElement, useState } from "react";
import { bytes, duration, elapsed } from "../format.ts";
import { textOf } from "../log/sgr.ts";
import { PageLink, Panel, resultHref, Segments } from "../parts/bits.tsx";
import { StateIcon } from "../parts/state.tsx";
import { timeOf } from "./critical-path.ts";
import type { LiveBuild, LiveResult } from "./live-build.ts";

/** What needs to be seen comes first. */
const order = [
  "error",
  "interrupted",
  "failed",
  "running",
  "substituting",
  "cancelled",
  "waiting",
  "built",
  "substituted",
  "skipped",
  "reused",
];

/** Rows that are shown at first. */
const firstRows = 200;

export function Results({ build, now }: { build: LiveBuild; now: number }): ReactElement {
  const all = [...build.results.values()].toSorted(
    (a, b) =>
      order.indexOf(a.state) - order.indexOf(b.state) ||
      (a.startedAt ?? "").localeCompare(b.startedAt ?? "") ||
      a.name.localeCompare(b.name),
  );
  const isNew = all.filter(({ state }) => state !== "reused");
  const [shows, setShows] = useState<"new" | "all">("new");
  const [most, setMost] = useState(firstRows);
  const shown = shows === "new" ? isNew : all;
  return (
    <Panel
      id="results"
      title="Results"
      aside={all.length}
      tools={
        <Segments
          label="Which results"
          value={shows}
          options={[
            ["new", "Not reused"],
            ["all", "All"],
          ]}
          onChange={setShows}
        />
      }
    >
      {shown.length === 0 && (
        <p className="panel-text quiet">
          {all.length === 0
            ? "Nothing yet."
            : `Nothing to build: ${all.length === 1 ? "it was" : `all ${all.length} were`} reused.`}
        </p>
      )}
      <ul className="results">
        {shown.slice(0, most).map((result) => (
          <li key={result.drvPath}>
            <StateIcon state={result.state} label />
            <PageLink to={resultHref(build.id, result.drvPath)} className="name" entry>
              {result.name}
            </PageLink>
            <span className="time">{timeText(result, now)}</span>
            <span className="size">{result.logSize > 0 ? `${bytes(result.logSize)} log` : ""}</span>
            <span className="sub">
              <Detail result={result} build={build} />
            </span>
          </li>
        ))}
      </ul>
      {shown.length > most && (
        <p className="panel-foot">
          <button type="button" className="button" onClick={() => setMost(most + 1000)}>
            Show {Math.min(1000, shown.length - most)} more of {shown.length}
          </button>
        </p>
      )}
    </Panel>
  );
}

function timeText(result: LiveResult, now: number): string {
  const { state, estimateMs } = result;
  if (state === "waiting") return estimateMs === null ? "" : `~${duration(estimateMs)}`;
  if (state === "running") return elapsed(timeOf(result, now));
  if (state === "skipped" || state === "reused") return "";
  return duration(timeOf(result, now));
}

function Detail({ result, build }: { result: LiveResult; build: LiveBuild }): ReactElement {
  const { state, failure, phase, lastLines, inputs } = result;
  if (failure !== null) return <>{failure.message}</>;
  if (state === "running") {
    const line = lastLines?.at(-1);
    return (
      <>
        {phase !== undefined && `${phase} · `}
        {line === undefined ? "no output yet" : <code>{textOf(line)}</code>}
      </>
    );
  }
  const names = inputs.flatMap((input) => {
    const other = build.results.get(input);
    return other === undefined ? [] : [other];
  });
  if (state === "waiting") {
    const open = names.filter((other) => ["waiting", "running"].includes(other.state));
    if (open.length === 0) return <>waits for a free job</>;
    return <>waits for {namesText(open)}</>;
  }
  if (state === "skipped") {
    const bad = names.filter((other) => !["built", "reused", "substituted"].includes(other.state));
    return <>{bad.length === 0 ? "not started" : `${namesText(bad)} failed`}</>;
  }
  if (state === "reused") return <>it was there</>;
  return <>{result.outputs.map(({ name }) => name).join(", ")}</>;
}

function namesText(results: readonly LiveResult[]): string {
  const names = results.slice(0, 3).map(({ name }) => name);
  return names.join(", ") + (results.length > 3 ? ` and ${results.length - 3} more` : "");
}
