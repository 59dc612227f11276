/** One build: what it is for, how far it is, what failed, and when it will be over. */
import { type ReactElement, useCallback, useEffect, useRef, useState } from "react";
import { ApiError, apiUrl, postJson, useAdministrator, useJson } from "../api.ts";
import type { BuildDetailMessage } from "../api.ts";
import { criticalPath } from "../build/critical-path.ts";
import { Failure } from "../build/failure.tsx";
import { CriticalPathFigure, Left, WhyFigure } from "../build/figures.tsx";
import { GraphPanel } from "../build/graph-panel.tsx";
import { after, type BuildEvent, liveBuild, type LiveBuild } from "../build/live-build.ts";
import { Results } from "../build/results.tsx";
import { Timeline } from "../build/timeline.tsx";
import { clock, duration, elapsed, shortID } from "../format.ts";
import { useNow, useTitle } from "../hooks.ts";
import { useKeys } from "../keys.ts";
import { useEvents } from "../live.ts";
import { Crumbs, Fault, Figure, Loading, PageLink } from "../parts/bits.tsx";
import { doneOf, StateBadge, StateBar, StateCounts, totalOf } from "../parts/state.tsx";
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
        <CriticalPathFigure build={build} path={path} now={now} />
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

/** For administrators: in two steps. */
function Cancel({ id }: { id: string }): ReactElement | null {
  const isAdministrator = useAdministrator();
  const [isAsked, setAsked] = useState(false);
  const [outcome, setOutcome] = useState("");
  if (!isAdministrator) return null;
  const cancel = (): void => {
    setAsked(false);
    setOutcome("Cancelling");
    postJson(apiUrl(`/builds/${id}/cancel`)).catch((error: unknown) =>
      setOutcome(error instanceof Error ? error.message : "not cancelled"),
    );
  };
  return (
    <button
      type="button"
      className="button danger"
      onClick={() => (isAsked ? cancel() : setAsked(true))}
      onBlur={() => setAsked(false)}
    >
      {isAsked ? "Really cancel?" : outcome || "Cancel build"}
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
