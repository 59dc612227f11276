/** What Prometheus is told. Names and meanings are only added to. */
import { statfsSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { BuildEvent } from "../build/events.ts";
import type { Care } from "../store/care.ts";
import { kilnVersion } from "../server/version.ts";
import type { Server } from "../server/server.ts";
import { totalAmount } from "../store/database/inventory.ts";

/** Seconds. */
const durations = [0.1, 0.3, 1, 3, 10, 30, 60, 180, 600, 1800, 3600, 7200];

/** Milliseconds that figures of the store are good for: they take a look at every object. */
const freshFor = 10_000;

export class Metrics implements Disposable {
  readonly #registry = new Registry();
  readonly #watching: Disposable;
  readonly #delay = monitorEventLoopDelay({ resolution: 20 });
  readonly #server: Server;
  #amount = { time: -Infinity, count: 0, narSize: 0 };

  readonly #builds = this.#counter("kiln_builds_total", "Builds that ended, by state", ["state"]);
  readonly #results = this.#counter(
    "kiln_results_total",
    "Derivations that builds were done with, by state",
    ["state"],
  );
  readonly #buildSeconds = this.#histogram("kiln_build_duration_seconds", "How long builds took", [
    "state",
  ]);
  readonly #builderSeconds = this.#histogram(
    "kiln_builder_duration_seconds",
    "How long builders ran",
    ["state"],
  );
  readonly #logBytes = this.#counter(
    "kiln_log_bytes_total",
    "Bytes that builders wrote to their logs",
  );
  readonly #addedObjects = this.#counter(
    "kiln_store_added_objects_total",
    "Objects that builds added to the store",
  );
  readonly #addedBytes = this.#counter(
    "kiln_store_added_bytes_total",
    "Bytes, as NAR, of the objects that builds added to the store",
  );
  readonly #cacheHits = this.#counter(
    "kiln_cache_hits_total",
    "Derivations that were not built because their outputs were there (reused) or brought from elsewhere (substituted)",
    ["kind"],
  );
  readonly #substitutedBytes = this.#counter(
    "kiln_substituted_bytes_total",
    "Bytes, as NAR, of the objects that builds brought from elsewhere",
  );
  readonly #requests = this.#counter(
    "kiln_http_requests_total",
    "Requests to this address, by status",
    ["status"],
  );
  readonly #streams = this.#gauge("kiln_http_event_streams", "Event streams that are open");

  constructor(server: Server) {
    this.#server = server;
    this.#delay.enable();
    this.#watching = server.builds.subscribe((event) => this.#note(event));
    const version = this.#gauge("kiln_info", "1, with the version", ["version", "node"]);
    version.set({ version: kilnVersion, node: process.versions.node }, 1);
    this.#measured("kiln_jobs", "Builders at the same time, at most", () => server.builds.jobs);
    this.#measured("kiln_jobs_running", "Builders that run", () => server.builds.jobsUsed);
    this.#measured(
      "kiln_builds_running",
      "Builds that run",
      () => server.builds.records.running().length,
    );
    this.#measured("kiln_results_waiting", "Derivations that wait for an input or a job", () =>
      server.builds.records
        .running()
        .reduce((sum, { counts }) => sum + (counts["waiting"] ?? 0), 0),
    );
    this.#measured("kiln_store_objects", "Objects in the store", () => this.#store().count);
    this.#measured(
      "kiln_store_nar_bytes",
      "Bytes, as NAR, of all objects in the store",
      () => this.#store().narSize,
    );
    this.#measured("kiln_store_disk_free_bytes", "Free bytes where the store lies", () => {
      const { bavail, bsize } = statfsSync(server.store.realDirectory);
      return bavail * bsize;
    });
    this.#measured("kiln_store_disk_bytes", "Size of the file system where the store lies", () => {
      const { blocks, bsize } = statfsSync(server.store.realDirectory);
      return blocks * bsize;
    });
    this.#measureCare(server.store.care);
    this.#measured("process_resident_memory_bytes", "Memory of the daemon", () =>
      process.memoryUsage.rss(),
    );
    this.#counted("process_cpu_seconds_total", "CPU time of the daemon, without builders", () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    });
    this.#measured(
      "process_start_time_seconds",
      "When the daemon began, in seconds since the Unix epoch",
      () => Math.round(performance.timeOrigin) / 1000,
    );
    this.#measured(
      "kiln_event_loop_delay_seconds",
      "99th percentile of how late the daemon came to its work since the last time this was asked",
      () => {
        const late = this.#delay.percentile(99) / 1e9;
        this.#delay.reset();
        return late;
      },
    );
  }

  #measureCare(care: Care): void {
    const { collected } = care;
    this.#counted(
      "kiln_collections_total",
      "Collections of garbage that came to their end",
      () => collected.times,
    );
    this.#counted(
      "kiln_collected_objects_total",
      "Objects that collections removed",
      () => collected.objects,
    );
    this.#counted(
      "kiln_collected_bytes_total",
      "Bytes, as NAR, of the objects that collections removed",
      () => collected.bytes,
    );
    this.#measured(
      "kiln_collection_last_end_time_seconds",
      "When the last collection ended, in seconds since the Unix epoch; 0: none since the daemon began",
      () => (care.lastCollection?.endedAt ?? 0) / 1000,
    );
    this.#measured(
      "kiln_collection_last_duration_seconds",
      "How long the last collection took",
      () => (care.lastCollection?.durationMs ?? 0) / 1000,
    );
    this.#measured(
      "kiln_verification_last_end_time_seconds",
      "When all objects were last verified, in seconds since the Unix epoch; 0: never since the daemon began",
      () => (care.lastVerification?.endedAt ?? 0) / 1000,
    );
    this.#measured(
      "kiln_verification_last_damaged_objects",
      "Objects that the last verification found damaged",
      () => care.lastVerification?.damaged ?? 0,
    );
  }

  [Symbol.dispose](): void {
    this.#watching[Symbol.dispose]();
    this.#delay.disable();
  }

  /** The content type of {@link text}. */
  get contentType(): string {
    return this.#registry.contentType;
  }

  /** All metrics in Prometheus' text format. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }

  /** A request was answered. */
  answered(status: number): void {
    this.#requests.inc({ status: String(status) });
  }

  /** An event stream was opened; the result is to be called when it ends. */
  streaming(): () => void {
    this.#streams.inc();
    return () => this.#streams.dec();
  }

  #note(event: BuildEvent): void {
    if (event.type === "build.finished") {
      const { state, durationMs } = event;
      this.#builds.inc({ state });
      this.#buildSeconds.observe({ state }, durationMs / 1000);
    } else if (event.type === "result.finished") {
      const { state, durationMs, logSize } = event;
      this.#results.inc({ state });
      if (state === "reused" || state === "substituted") this.#cacheHits.inc({ kind: state });
      if (["built", "failed", "error", "cancelled"].includes(state)) {
        this.#builderSeconds.observe({ state }, durationMs / 1000);
      }
      this.#logBytes.inc(logSize);
    } else if (event.type === "object.substituted") {
      this.#substitutedBytes.inc(event.narSize);
    } else if (event.type === "object.added") {
      this.#addedObjects.inc();
      this.#addedBytes.inc(event.narSize);
    }
  }

  #store(): { readonly count: number; readonly narSize: number } {
    const time = performance.now();
    if (time - this.#amount.time > freshFor) {
      this.#amount = { time, ...totalAmount(this.#server.store.database) };
    }
    return this.#amount;
  }

  #counter(name: string, help: string, labelNames: readonly string[] = []): Counter {
    return new Counter({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  #gauge(name: string, help: string, labelNames: readonly string[] = []): Gauge {
    return new Gauge({ name, help, labelNames: [...labelNames], registers: [this.#registry] });
  }

  #histogram(name: string, help: string, labelNames: readonly string[]): Histogram {
    return new Histogram({
      name,
      help,
      labelNames: [...labelNames],
      buckets: durations,
      registers: [this.#registry],
    });
  }

  /** A gauge that is looked at when it is asked for. */
  #measured(name: string, help: string, measure: () => number): void {
    this.#registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        collect() {
          this.set(measure());
        },
      }),
    );
  }

  /** A counter that something else counts. */
  #counted(name: string, help: string, count: () => number): void {
    this.#registry.registerMetric(
      new Counter({
        name,
        help,
        registers: [],
        collect() {
          this.reset();
          this.inc(count());
        },
      }),
    );
  }
}
