/**
 * A build as a trace that Perfetto and Chrome read (the "JSON array" of the Trace Event format, times in microseconds after the
 * build's start).
 *
 * Each result is a slice, with slices in it for its phases: it waits for a free job, runs, is registered. It begins when its inputs
 * are there. Results that overlap lie in different lanes; a lane of its own shows the critical path.
 */
import { derivationNameOf } from "../format/store-path.ts";
import type { BuildEvent } from "./events.ts";

/** What a trace needs of the events of a build. */
type Traced = Extract<
  BuildEvent,
  {
    readonly type:
      | "build.started"
      | "build.finished"
      | "result.planned"
      | "result.started"
      | "result.phase"
      | "result.finished";
  }
>;

/** One result's times, in milliseconds since the Unix epoch; undefined for what did not happen. */
interface Times {
  readonly drvPath: string;
  name: string;
  inputs: readonly string[];
  planned: number;
  started?: number;
  registering?: number;
  finished?: number;
  state: string;
  reason: string | undefined;
}

type Finished = Extract<Traced, { readonly type: "result.finished" }>;

type TraceEvent = Readonly<Record<string, unknown>>;

/** Lanes of results; 0 is the critical path's. */
const process = 1;

/** Takes in the events of a build as they come. */
export class TraceRecorder {
  readonly #results = new Map<string, Times>();
  #buildID = "";
  #start = Infinity;
  #end = 0;
  #state = "running";
  #criticalPath: readonly { readonly drvPath: string; readonly durationMs: number }[] = [];

  add(event: BuildEvent): void {
    if (!isTraced(event)) return;
    const at = Date.parse(event.time);
    this.#start = Math.min(this.#start, at);
    this.#end = Math.max(this.#end, at);
    this.#buildID = event.buildID;
    switch (event.type) {
      case "build.started":
        break;
      case "build.finished":
        this.#state = event.state;
        this.#criticalPath = event.criticalPath;
        break;
      case "result.planned": {
        const { drvPath, name, inputs, reason } = event;
        if (event.action === "reuse" || this.#results.has(drvPath)) break;
        this.#results.set(drvPath, {
          drvPath,
          name,
          inputs,
          planned: at,
          state: "waiting",
          reason: reason?.code,
        });
        break;
      }
      case "result.started":
        this.#set(event.drvPath, (times) => (times.started ??= at));
        break;
      case "result.phase":
        if (event.phase === "register") {
          this.#set(event.drvPath, (times) => (times.registering ??= at));
        }
        break;
      case "result.finished":
        this.#finished(event, at);
        break;
    }
  }

  /** The trace so far, as the file's JSON. */
  toJSON(): { displayTimeUnit: "ms"; otherData: TraceEvent; traceEvents: TraceEvent[] } {
    const placed = this.#placed();
    const lanes = Math.max(0, ...placed.map(({ lane }) => lane));
    return {
      displayTimeUnit: "ms",
      otherData: { buildID: this.#buildID, state: this.#state },
      traceEvents: [
        named("process_name", 0, `build ${this.#buildID.slice(-8)}`),
        named("thread_name", 0, "critical path"),
        ...Array.from({ length: lanes }, (_, i) => named("thread_name", i + 1, `lane ${i + 1}`)),
        ...placed.flatMap((one) => this.#slices(one)),
        ...this.#critical(),
        ...this.#counters(),
      ],
    };
  }

  /** Of a build that was over before anybody watched it nothing else is told. */
  #finished({ drvPath, state, durationMs }: Finished, at: number): void {
    const started = at - durationMs;
    if (state !== "reused" && state !== "skipped" && !this.#results.has(drvPath)) {
      const name = derivationNameOf(drvPath);
      const times = {
        drvPath,
        name,
        inputs: [],
        planned: started,
        started,
        state,
        reason: undefined,
      };
      this.#results.set(drvPath, times);
      this.#start = Math.min(this.#start, started);
    }
    this.#set(drvPath, (times) => {
      times.finished = at;
      times.state = state;
    });
  }

  #set(drvPath: string, change: (times: Times) => void): void {
    const times = this.#results.get(drvPath);
    if (times !== undefined) change(times);
  }

  /** When everything it takes was there. */
  #readyAt({ inputs, planned }: Times): number {
    return Math.max(planned, ...inputs.map((input) => this.#results.get(input)?.finished ?? 0));
  }

  /** What was begun, in order, each in the first lane that is free. */
  #placed(): { readonly times: Times; readonly ready: number; readonly lane: number }[] {
    const begun = [...this.#results.values()]
      .filter(({ started }) => started !== undefined)
      .map((times) => ({ times, ready: Math.min(this.#readyAt(times), times.started ?? 0) }))
      .toSorted((a, b) => a.ready - b.ready);
    /** When each lane is free. */
    const free: number[] = [];
    return begun.map(({ times, ready }) => {
      const at = free.findIndex((time) => time <= ready);
      const lane = at === -1 ? free.length : at;
      free[lane] = times.finished ?? this.#end;
      return { times, ready, lane: lane + 1 };
    });
  }

  #slices({ times, ready, lane }: { times: Times; ready: number; lane: number }): TraceEvent[] {
    const { drvPath, name, state, reason, planned, started = ready } = times;
    const end = times.finished ?? this.#end;
    const registering = Math.min(times.registering ?? end, end);
    const phases: [string, number, number][] = [
      ["waiting", ready, started],
      ["running", started, registering],
      ["registering", registering, end],
    ];
    const args = { drvPath, state, reason, waitedForInputsMs: ready - planned };
    return [
      this.#slice(name, "result", { lane, from: ready, to: end }, args),
      ...phases
        .filter(([, from, to]) => to > from)
        .map(([phase, from, to]) => this.#slice(phase, "phase", { lane, from, to }, { drvPath })),
    ];
  }

  #critical(): TraceEvent[] {
    return this.#criticalPath.flatMap(({ drvPath }) => {
      const times = this.#results.get(drvPath);
      if (times?.started === undefined || times.finished === undefined) return [];
      const place = { lane: 0, from: times.started, to: times.finished };
      return [this.#slice(times.name, "critical", place, { drvPath })];
    });
  }

  /** How many builders ran. */
  #counters(): TraceEvent[] {
    const changes = [...this.#results.values()].flatMap(({ started, finished }) =>
      started === undefined
        ? []
        : [{ at: started, by: 1 }, ...(finished === undefined ? [] : [{ at: finished, by: -1 }])],
    );
    let running = 0;
    return changes
      .toSorted((a, b) => a.at - b.at || a.by - b.by)
      .map(({ at, by }) => {
        running += by;
        const ts = this.#time(at);
        return { ph: "C", name: "running", pid: process, ts, args: { builders: running } };
      });
  }

  /** Microseconds after the start. */
  #time(at: number): number {
    return (at - this.#start) * 1000;
  }

  #slice(
    name: string,
    cat: string,
    { lane, from, to }: { readonly lane: number; readonly from: number; readonly to: number },
    args: TraceEvent,
  ): TraceEvent {
    const [ts, dur] = [this.#time(from), (to - from) * 1000];
    return { ph: "X", name, cat, pid: process, tid: lane, ts, dur, args };
  }
}

function isTraced(event: BuildEvent): event is Traced & BuildEvent {
  return /^(?:build\.(?:started|finished)|result\.)/.test(event.type);
}

function named(what: "process_name" | "thread_name", tid: number, name: string): TraceEvent {
  return { ph: "M", name: what, pid: process, tid, args: { name } };
}
