/** One build: what it is for, how far it is, what failed, and when it will be over. */
import { type ReactElement, type ReactNode, useCallback, useEffect, useRef, useState } from "react";
import { useLocation } from "wouter";
import { ApiError, apiUrl, postJson, useAdministrator, useJson } from "../api.ts";
import type { BuildDetailMessage, ResultDetailMessage } from "../api.ts";
import { criticalPath, timeOf } from "../build/critical-path.ts";
import {
  after,
  type BuildEvent,
  liveBuild,
  type LiveBuild,
  type LiveResult,
} from "../build/live-build.ts";
import { Graph } from "../build/graph.tsx";
import { Results } from "../build/results.tsx";
import { Timeline } from "../build/timeline.tsx";
import { clock, duration, elapsed, shortID } from "../format.ts";
import { useNow, useTitle } from "../hooks.ts";
import { useKeys } from "../keys.ts";
import { useEvents } from "../live.ts";
import { textOf } from "../log/sgr.ts";
import { Crumbs, Fault, Figure, Loading, PageLink, Panel, resultHref } from "../parts/bits.tsx";
import { doneOf, StateBadge, StateBar, StateCounts, StateIcon, totalOf } from "../parts/state.tsx";
import { targetsText } from "./builds.tsx";
import { NotFoundPage } from "./not-found.tsx";
import { marks } from "./result.tsx";

/** Milliseconds in which events are gathered before they are shown. */
const pace = 100;

export function BuildPage({ id }: { id: string }): ReactElement {
  const asked = useJson<BuildDetailMessage>(apiUrl(`/builds/${id}`));
  const { data, error, again } = asked;
  const [build, setBuild] = useState<LiveBuild>();
  const pending = useRef<BuildEvent[]>([]);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => {
    if (data !== undefined) setBuild(liveBuild(data));
  }, [data]);
  const take = useCallback((event: BuildEvent) => {
    pending.current.push(event);
    timer.current ??= setTimeout(() => {
      timer.current = undefined;
      const events = pending.current.splice(0);
      setBuild((before) => (before === undefined ? before : after(before, events)));
    }, pace);
  }, []);
  useEffect(() => () => clearTimeout(timer.current), []);
  useEffect(() => {
    if (build?.isStale === true) again();
    // oxlint-disable-next-line react/exhaustive-deps
  }, [build?.isStale]);
  useEvents(
    data === undefined || data.endedAt !== null
      ? null
      : apiUrl(`/builds/${id}/events`, { after: data.seq, logs: "tail" }),
    { message: take },
  );
  // What only the end of a build tells, is asked for then.
  const isEnded = build !== undefined && build.endedAt !== null;
  const wasRunning = data !== undefined && data.endedAt === null;
  useEffect(() => {
    if (isEnded && wasRunning) again();
    // oxlint-disable-next-line react/exhaustive-deps
  }, [isEnded]);
  // Any text may stand in the address, also one that cannot be an id.
  if (error instanceof ApiError && [400, 404].includes(error.status) && build === undefined) {
    return (
      <NotFoundPage
        text={`No build ${shortID(id)}. Builds are kept for as long as --build-log-retention says.`}
      />
    );
  }
  if (build === undefined)
    return error === undefined ? <Loading lines={8} /> : <Fault error={error} />;
  return <Build build={build} />;
}

function Build({ build }: { build: LiveBuild }): ReactElement {
  const isRunning = build.endedAt === null;
  const now = useNow(1000, isRunning);
  const { counts } = build;
  const done = `${doneOf(counts)}/${totalOf(counts)}`;
  const names = targetsText(build);
  useTitle(isRunning ? `▸ ${done} ${names}` : `${marks[build.state] ?? ""} ${names}`);
  useKeys({
    t: () => document.querySelector("#timeline")?.scrollIntoView(),
    v: () => document.querySelector("#graph")?.scrollIntoView(),
    c: () => void navigator.clipboard?.writeText(build.id),
    l: () => document.querySelector<HTMLElement>("#results [data-entry]")?.click(),
  });
  useEffect(() => {
    // `?view=graph` and the like are links to a part of the page.
    const view = new URLSearchParams(location.search).get("view") ?? "";
    if (["timeline", "results", "graph"].includes(view)) {
      document.querySelector(`#${view}`)?.scrollIntoView();
    }
  }, []);
  const path = criticalPath(build.results, now);
  const critical = new Set(path.map(({ drvPath }) => drvPath));
  const results = [...build.results.values()];
  const failures = results.filter(({ failure }) => failure !== null);
  const running = results.filter(({ state }) => state === "running");
  return (
    <>
      <Crumbs>
        <PageLink to="/">Builds</PageLink> / <code>{build.id}</code>
      </Crumbs>
      <div className="title-row">
        <h1>{names}</h1>
        <StateBadge state={build.state} />
        <p className="quiet">
          {build.user === null ? "" : `for ${build.user}, `}started {clock(build.startedAt, now)}
        </p>
        <div className="tools">{isRunning && <Cancel id={build.id} />}</div>
      </div>
      <Announcer build={build} />
      <StateBar counts={counts} />
      <StateCounts counts={counts} />
      {build.failure !== null && <p className="cause-box s-error">{build.failure}</p>}
      {failures.slice(0, 3).map((result) => (
        <Failure key={result.drvPath} build={build} result={result} />
      ))}
      {failures.length > 3 && (
        <p className="quiet">{failures.length - 3} more failed, see below.</p>
      )}
      <dl className="figures">
        <Figure
          label={isRunning ? "Elapsed" : "Took"}
          value={took(build, now)}
          note={isRunning ? `${running.length} of ${build.jobs} jobs in use` : undefined}
        />
        {isRunning && <Left build={build} path={path} now={now} />}
        {path.length > 0 && (
          <Figure
            label="Critical path"
            value={pathText(path)}
            note={criticalNote(path, build, now)}
          />
        )}
        <WhyFigure results={results} build={build} />
      </dl>
      <Timeline build={build} critical={critical} now={now} />
      <div className="two">
        <Results build={build} now={now} />
        <GraphPanel build={build} critical={critical} now={now} running={running} />
      </div>
    </>
  );
}

function took(build: LiveBuild, now: number): string {
  const start = Date.parse(build.startedAt);
  if (build.endedAt === null) return elapsed(now - start);
  return duration(Date.parse(build.endedAt) - start);
}

/** The likely cause before anything else. */
function Failure({ build, result }: { build: LiveBuild; result: LiveResult }): ReactElement {
  const { drvPath, name, failure, durationMs } = result;
  const url = apiUrl(`/builds/${build.id}/result`, { drvPath });
  const cause = useJson<ResultDetailMessage>(url).data?.log.cause;
  const href = resultHref(build.id, drvPath);
  return (
    <section className={`cause-box s-${result.state}`} aria-label={`${name}: ${result.state}`}>
      <h2>
        <StateIcon state={result.state} />
        {name}
        <span className="quiet">
          {failure?.message}
          {durationMs !== null && ` after ${duration(durationMs)}`}
        </span>
      </h2>
      {cause !== undefined && cause !== null && (
        <pre>
          {cause.lines
            .slice(-6)
            .map(({ text }) => text)
            .join("\n")}
        </pre>
      )}
      <p className="again">
        {cause?.isError === true && (
          <PageLink to={`${href}#L${cause.lines[0]?.number}`}>
            Likely cause, line {cause.lines[0]?.number}
          </PageLink>
        )}
        <PageLink to={href}>Whole log</PageLink>
      </p>
    </section>
  );
}

function Left(props: {
  build: LiveBuild;
  path: readonly LiveResult[];
  now: number;
}): ReactElement | null {
  const { build, now } = props;
  // The longest chain of what is open.
  const ends = new Map<string, number | null>();
  const endOf = (drvPath: string): number | null => {
    const known = ends.get(drvPath);
    if (known !== undefined) return known;
    ends.set(drvPath, 0);
    const result = build.results.get(drvPath);
    if (result === undefined || result.endedAt !== null) return 0;
    let end: number | null = 0;
    for (const input of result.inputs) {
      const before = endOf(input);
      end = before === null || end === null ? null : Math.max(end, before);
    }
    const own = result.estimateMs;
    const spent = result.state === "running" ? timeOf(result, now) : 0;
    end = own === null || end === null ? null : end + Math.max(0, own - spent);
    ends.set(drvPath, end);
    return end;
  };
  let left: number | null = 0;
  for (const drvPath of build.results.keys()) {
    const end = endOf(drvPath);
    left = end === null || left === null ? null : Math.max(left, end);
  }
  if (left === null || left === 0) return null;
  return <Figure label="Left" value={`about ${elapsed(left)}`} note="from earlier builds" />;
}

function pathText(path: readonly LiveResult[]): ReactNode {
  const names = path.map(({ name }) => name);
  return names.length <= 5 ? names.join(" › ") : `${names[0]} › … › ${names.slice(-3).join(" › ")}`;
}

function criticalNote(path: readonly LiveResult[], build: LiveBuild, now: number): string {
  const onPath = path.reduce((sum, result) => sum + timeOf(result, now), 0);
  const end = build.endedAt === null ? now : Date.parse(build.endedAt);
  const all = Math.max(1, end - Date.parse(build.startedAt));
  const text = `${duration(onPath)} of ${duration(all)}`;
  return onPath / all > 0.9 ? `${text}: more jobs would not help` : text;
}

function WhyFigure({
  results,
  build,
}: {
  results: readonly LiveResult[];
  build: LiveBuild;
}): ReactElement | null {
  const reasons = results.flatMap(({ reason, name }) =>
    reason === null ? [] : [{ reason, name }],
  );
  if (reasons.length === 0) {
    return build.state === "reused" ? <Figure label="Why" value="Nothing to build" /> : null;
  }
  const changed = reasons.find(({ reason }) => reason.code === "derivationChanged");
  if (changed !== undefined) {
    return (
      <Figure
        label="Why"
        value={`${changed.name} changed`}
        note={changed.reason.changes.slice(0, 3).join(", ")}
      />
    );
  }
  const input = reasons.find(({ reason }) => reason.code === "inputChanged")?.reason.inputs[0];
  if (input !== undefined) return <Figure label="Why" value={`${input} changed`} />;
  const isNew = reasons.every(({ reason }) => reason.code === "neverRealised");
  return (
    <Figure
      label="Why"
      value={isNew ? "First build of these" : `${reasons.length} to build anew`}
    />
  );
}

function Cancel({ id }: { id: string }): ReactElement | null {
  const isAdministrator = useAdministrator();
  const [text, setText] = useState("Cancel build");
  if (!isAdministrator) return null;
  return (
    <button
      type="button"
      className="button danger"
      onClick={() => {
        setText("Cancelling");
        postJson(apiUrl(`/builds/${id}/cancel`)).catch((error: unknown) =>
          setText(error instanceof Error ? error.message : "not cancelled"),
        );
      }}
    >
      {text}
    </button>
  );
}

/** Tells screen readers what happened, at most a sentence every few seconds. */
function Announcer({ build }: { build: LiveBuild }): ReactElement {
  const [text, setText] = useState("");
  const known = useRef<ReadonlySet<string>>(undefined);
  const last = useRef(0);
  useEffect(() => {
    const bad = [...build.results.values()].filter(({ failure }) => failure !== null);
    const before = known.current;
    known.current = new Set(bad.map(({ drvPath }) => drvPath));
    if (before === undefined) return;
    const fresh = bad.find(({ drvPath }) => !before.has(drvPath));
    const now = Date.now();
    if (build.endedAt !== null) setText(`The build is over: ${build.state}`);
    else if (fresh !== undefined && now - last.current > 5000) {
      last.current = now;
      setText(`${fresh.name} failed`);
    }
  }, [build]);
  return (
    <p className="visually-hidden" role="status">
      {text}
    </p>
  );
}

function GraphPanel(props: {
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
