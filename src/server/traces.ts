/**
 * Builds as OpenTelemetry spans: one for each build, and below it one for each derivation that was built and each object that was brought
 * from elsewhere. What is reused is only counted. Where spans go is up to the program's OpenTelemetry SDK; without one, nothing is
 * loaded and nothing is followed.
 */
import type { Attributes, Span, Tracer } from "@opentelemetry/api";
import type { BuildEvent } from "../build/events.ts";
import { derivationNameOf, nameOf, type StorePath } from "../format/store-path.ts";
import { kilnVersion } from "./version.ts";

/** Those whose events are followed. */
interface Traced {
  subscribe(watcher: (event: BuildEvent) => void): Disposable;
}

type Api = typeof import("@opentelemetry/api");

/** Where the packages of OpenTelemetry find each other: an SDK that was set up before has put itself there. */
const registry = Symbol.for("opentelemetry.js.api.1");

/** Milliseconds that spans have to get away at the end. */
const patience = 5000;

/**
 * Follows builds when this process has an OpenTelemetry SDK; to be disposed of when they have ended, so that no span is lost.
 */
export async function traceBuilds(builds: Traced): Promise<AsyncDisposable | undefined> {
  if (!(registry in globalThis)) return undefined;
  // Not a constant to bundlers: it has to be the copy that the program brings.
  const name: string = "@opentelemetry/api";
  const api: Api | undefined = await import(name).catch(() => undefined);
  if (api === undefined) return undefined;
  const tracer = api.trace.getTracer("kiln", kilnVersion);
  const open = new Map<string, TracedBuild>();
  const watching = builds.subscribe((event) => {
    if (event.type === "build.started")
      open.set(event.buildID, new TracedBuild(api, tracer, event));
    else open.get(event.buildID)?.note(event);
    if (event.type === "build.finished") open.delete(event.buildID);
  });
  return {
    [Symbol.asyncDispose]: async () => {
      watching[Symbol.dispose]();
      await flush(api);
    },
  };
}

/** Sends what the SDK still holds, if it has a way to. */
async function flush({ trace, ProxyTracerProvider }: Api): Promise<void> {
  const provider = trace.getTracerProvider();
  const own: object = provider instanceof ProxyTracerProvider ? provider.getDelegate() : provider;
  if (!("forceFlush" in own) || typeof own.forceFlush !== "function") return;
  const timer = Promise.withResolvers<void>();
  const waiting = setTimeout(timer.resolve, patience);
  // Where spans go may be out of reach: that is the SDK's to say.
  await Promise.race([Promise.resolve(own.forceFlush()).catch(() => undefined), timer.promise]);
  clearTimeout(waiting);
}

class TracedBuild {
  readonly #api: Api;
  readonly #tracer: Tracer;
  readonly #span: Span;
  readonly #results = new Map<StorePath, Span>();
  readonly #reasons = new Map<StorePath, string>();

  constructor(api: Api, tracer: Tracer, event: BuildEvent & { readonly type: "build.started" }) {
    this.#api = api;
    this.#tracer = tracer;
    const { buildID, targets, storeDir, mode, user, jobs } = event;
    const names = targets.map((target) => target.name);
    this.#span = tracer.startSpan(`build ${names.slice(0, 3).join(", ")}`, {
      startTime: timeOf(event),
      attributes: {
        "kiln.build.id": buildID,
        "kiln.build.targets": names,
        "kiln.store.directory": storeDir,
        "kiln.mode": mode,
        "kiln.jobs": jobs,
        ...(user === null ? {} : { "kiln.build.user": user }),
      },
    });
  }

  note(event: BuildEvent): void {
    if (event.type === "build.planned") {
      const { reuse, substitute, build } = event.counts;
      this.#span.setAttributes({
        "kiln.plan.reuse": reuse,
        "kiln.plan.substitute": substitute,
        "kiln.plan.build": build,
      });
    } else if (event.type === "result.planned" && event.reason !== null) {
      this.#reasons.set(event.drvPath, event.reason.code);
    } else if (event.type === "result.started") {
      this.#begin(event);
    } else if (event.type === "result.finished") {
      this.#end(event);
    } else if (event.type === "object.substituted") {
      const span = this.#child(
        `substitute ${nameOf(event.path)}`,
        timeOf(event) - event.durationMs,
        {
          "kiln.object.path": event.path,
          "kiln.object.from": event.from,
          "kiln.object.nar_size": event.narSize,
          "kiln.object.download_size": event.downloadSize,
        },
      );
      span.end(timeOf(event));
    } else if (event.type === "build.finished") {
      this.#finish(event);
    }
  }

  #child(name: string, startTime: number, attributes: Attributes): Span {
    const { context, trace } = this.#api;
    const parent = trace.setSpan(context.active(), this.#span);
    return this.#tracer.startSpan(name, { startTime, attributes }, parent);
  }

  #begin(event: BuildEvent & { readonly type: "result.started" }): void {
    const { drvPath, executor, buildUser } = event;
    const reason = this.#reasons.get(drvPath);
    const span = this.#child(`derivation ${derivationNameOf(drvPath)}`, timeOf(event), {
      "kiln.derivation.path": drvPath,
      "kiln.executor": executor,
      ...(buildUser === null ? {} : { "kiln.build_user": buildUser }),
      ...(reason === undefined ? {} : { "kiln.reason": reason }),
    });
    this.#results.set(drvPath, span);
  }

  #end(event: BuildEvent & { readonly type: "result.finished" }): void {
    const { drvPath, state, outputs, exitCode, signal, logSize, failure } = event;
    const span = this.#results.get(drvPath);
    if (span === undefined) return;
    this.#results.delete(drvPath);
    span.setAttributes({
      "kiln.state": state,
      "kiln.outputs": outputs.flatMap(({ path }) => path ?? []),
      "kiln.log.size": logSize,
      ...(exitCode === null ? {} : { "process.exit.code": exitCode }),
      ...(signal === null ? {} : { "kiln.signal": signal }),
      ...(failure === null ? {} : { "error.type": failure.code }),
    });
    if (failure !== null) this.#blame(span, failure.message);
    span.end(timeOf(event));
  }

  #finish(event: BuildEvent & { readonly type: "build.finished" }): void {
    const { state, counts } = event;
    for (const span of this.#results.values()) span.end(timeOf(event));
    this.#span.setAttribute("kiln.state", state);
    for (const [name, count] of Object.entries(counts)) {
      this.#span.setAttribute(`kiln.results.${name}`, count);
    }
    if (!["built", "substituted", "reused"].includes(state)) this.#blame(this.#span, state);
    this.#span.end(timeOf(event));
  }

  #blame(span: Span, message: string): void {
    span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message });
  }
}

/** Milliseconds since the Unix epoch. */
function timeOf({ time }: BuildEvent): number {
  return Date.parse(time);
}
