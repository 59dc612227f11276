/** When each result ran. */
import { type KeyboardEvent, type ReactElement, useState } from "react";
import { Link } from "wouter";
import { duration, elapsed } from "../format.ts";
import { useWidth } from "../hooks.ts";
import { useKeys } from "../keys.ts";
import { Panel, resultHref, Segments } from "../parts/bits.tsx";
import { timeOf } from "./critical-path.ts";
import type { LiveBuild, LiveResult } from "./live-build.ts";

/** Rows that are drawn; the rest is in the list of results. */
const mostRows = 40;

/** Letters of a name that are kept when it is cut: names of one family differ at their ends. */
const tail = 8;

/** Pixels that a time on the scale may take, the space after it included: `1h 05m`. */
const tickWidth = 56;

type Order = "start" | "longest";

interface Bar {
  readonly result: LiveResult;
  /** Milliseconds from the beginning of the build. */
  readonly from: number;
  readonly to: number;
  readonly estimatedTo: number;
}

export function Timeline(props: {
  build: LiveBuild;
  critical: ReadonlySet<string>;
  now: number;
}): ReactElement | null {
  const { build, critical, now } = props;
  const [order, setOrder] = useState<Order>("start");
  const [view, setView] = useState({ zoom: 1, at: 0 });
  const [axis, setAxis] = useState<HTMLElement | null>(null);
  const width = useWidth(axis);
  const bars = barsOf(build, now);
  const pan = (by: number): void =>
    setView(({ zoom, at }) => ({ zoom, at: Math.min(1 - 1 / zoom, Math.max(0, at + by / zoom)) }));
  const zoomBy = (factor: number): void =>
    setView((before) => {
      const zoom = Math.min(200, Math.max(1, before.zoom * factor));
      const middle = before.at + 0.5 / before.zoom;
      return { zoom, at: Math.min(1 - 1 / zoom, Math.max(0, middle - 0.5 / zoom)) };
    });
  const keys: Record<string, () => void> = {
    w: () => zoomBy(1.5),
    s: () => zoomBy(1 / 1.5),
    a: () => pan(-0.2),
    d: () => pan(0.2),
  };
  useKeys(keys);
  if (bars.length === 0) return null;
  // While it runs, a second is the least: the scale would not stand still.
  const least = build.endedAt === null ? 1000 : 10;
  const end =
    Math.max(least, ...bars.map(({ to, estimatedTo }) => Math.max(to, estimatedTo))) * 1.06;
  const start = view.at * end;
  const span = end / view.zoom;
  const percent = (time: number): number => ((time - start) / span) * 100;
  const chosen =
    order === "longest"
      ? bars.toSorted((a, b) => b.to - b.from - (a.to - a.from))
      : bars.toSorted((a, b) => a.from - b.from);
  const shown = chosen.slice(0, mostRows);
  const present = build.endedAt === null ? now - Date.parse(build.startedAt) : undefined;
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === "ArrowLeft") pan(-0.2);
    else if (event.key === "ArrowRight") pan(0.2);
  };
  return (
    <Panel
      id="timeline"
      title="Timeline"
      aside={[
        order === "start" ? "by start" : "longest first",
        "critical path outlined",
        ...(bars.length > mostRows ? [`${mostRows} of ${bars.length}`] : []),
        ...(someBeganEarly(build) ? ["some began while inputs were being brought to disk"] : []),
      ].join(" · ")}
      tools={
        <>
          <a className="button" href={traceOf(build)} download={`${build.id}.trace.json`}>
            Trace
          </a>
          <Segments
            label="Order"
            value={order}
            options={[
              ["start", "Start"],
              ["longest", "Longest"],
            ]}
            onChange={setOrder}
          />
        </>
      }
    >
      <div
        className="timeline"
        role="group"
        tabIndex={0}
        aria-label="Timeline, arrows move it when it is zoomed with w and s"
        onKeyDown={onKeyDown}
      >
        <div ref={setAxis} className="axis" aria-hidden="true">
          {ticksOf(start, span, Math.floor(width / tickWidth)).map((tick) => (
            <span key={tick} style={{ left: `${percent(tick)}%` }}>
              {tick === 0 ? "0s" : span < 5000 ? duration(tick) : elapsed(tick)}
            </span>
          ))}
        </div>
        {shown.map(({ result, from, to, estimatedTo }) => {
          const { drvPath, name, state } = result;
          const isWaiting = state === "waiting";
          const text = isWaiting
            ? `~${duration(estimatedTo - from)}`
            : state === "running"
              ? elapsed(timeOf(result, now))
              : duration(timeOf(result, now));
          const labelAt = percent(Math.max(to, estimatedTo));
          return (
            <div key={drvPath} style={{ display: "contents" }}>
              <Link
                href={resultHref(build.id, drvPath)}
                className="who"
                aria-label={name}
                title={`${name}, ${state}`}
              >
                <span>{name.slice(0, -tail)}</span>
                <span>{name.slice(-tail)}</span>
              </Link>
              <div className="track">
                {!isWaiting && (
                  <span
                    className={`span f-${state}${critical.has(drvPath) ? " critical" : ""}`}
                    style={{ left: `${percent(from)}%`, width: `${((to - from) / span) * 100}%` }}
                  />
                )}
                {estimatedTo > to && (
                  <span
                    className="estimate"
                    style={{
                      left: `${percent(to)}%`,
                      width: `${((estimatedTo - to) / span) * 100}%`,
                    }}
                  />
                )}
                {labelAt > 88 ? (
                  <span className="took before" style={{ left: `${percent(from)}%` }}>
                    {text}
                  </span>
                ) : (
                  <span className="took" style={{ left: `${labelAt}%` }}>
                    {text}
                  </span>
                )}
                {present !== undefined && (
                  <span className="present" style={{ left: `${percent(present)}%` }} />
                )}
              </div>
            </div>
          );
        })}
      </div>
    </Panel>
  );
}

/** Whether a bar begins before one of its inputs ends: a builder may, once they are in place. */
function someBeganEarly({ results }: LiveBuild): boolean {
  return [...results.values()].some(({ startedAt, inputs }) =>
    inputs.some((input) => {
      const { state, endedAt = null } = results.get(input) ?? {};
      return state === "built" && startedAt !== null && endedAt !== null && startedAt < endedAt;
    }),
  );
}

/** Results that ran, run, or wait with a time to be expected. */
function barsOf(build: LiveBuild, now: number): Bar[] {
  const begin = Date.parse(build.startedAt);
  const present = build.endedAt === null ? now - begin : 0;
  const bars: Bar[] = [];
  for (const result of build.results.values()) {
    const { state, startedAt, endedAt, estimateMs } = result;
    if (state === "reused" || state === "skipped") continue;
    if (startedAt === null) {
      if (state !== "waiting" || estimateMs === null) continue;
      bars.push({ result, from: present, to: present, estimatedTo: present + estimateMs });
      continue;
    }
    const from = Math.max(0, Date.parse(startedAt) - begin);
    const to = endedAt === null ? Math.max(from, now - begin) : Date.parse(endedAt) - begin;
    const estimatedTo = endedAt === null && estimateMs !== null ? from + estimateMs : to;
    bars.push({ result, from, to, estimatedTo: Math.max(to, estimatedTo) });
  }
  return bars;
}

/** Round times within the view, in milliseconds: at most `most` and 7, none so near its end that there is no room for it. */
function ticksOf(start: number, span: number, most: number): number[] {
  const steps = [
    10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5,
  ];
  const room = Math.min(7, most);
  if (room === 0) return [];
  const longest = 144e5;
  const step =
    steps.find((candidate) => span / candidate <= room) ??
    Math.ceil(span / room / longest) * longest;
  const ticks: number[] = [];
  const last = start + span * (1 - 1 / most);
  for (let tick = Math.ceil(start / step) * step; tick <= last; tick += step) ticks.push(tick);
  return ticks;
}

/** The timeline as a file for Perfetto, in the trace event format. */
function traceOf(build: LiveBuild): string {
  const lanes: number[] = [];
  const events = [...build.results.values()]
    .filter(({ startedAt, endedAt }) => startedAt !== null && endedAt !== null)
    .toSorted((a, b) => Date.parse(a.startedAt ?? "") - Date.parse(b.startedAt ?? ""))
    .map(({ name, state, startedAt, endedAt }) => {
      const from = Date.parse(startedAt ?? "");
      const to = Date.parse(endedAt ?? "");
      const free = lanes.findIndex((until) => until <= from);
      const lane = free === -1 ? lanes.length : free;
      lanes[lane] = to;
      return {
        name,
        cat: state,
        ph: "X",
        ts: from * 1000,
        dur: (to - from) * 1000,
        pid: 1,
        tid: lane + 1,
      };
    });
  return `data:application/json,${encodeURIComponent(JSON.stringify({ traceEvents: events }))}`;
}
