/** Follows a build of zb's daemon, which tells no events: asks how it is doing, and tells the events that must have happened. */
import { setTimeout as delay } from "node:timers/promises";
import type { BuildEvent, BuildEventBody, BuildState, BuildTarget } from "../build/events.ts";
import type { StoreClient } from "../rpc/client.ts";
import type { BuildMessage, BuildResultMessage } from "../rpc/protocol.ts";

/** Milliseconds between two questions; zb's client asks as often. */
const pace = 250;

/** How much of the end of a failed log is shown. */
const shownLines = 20;

const states: Readonly<Record<BuildMessage["status"], BuildState>> = {
  unknown: "interrupted",
  active: "running",
  success: "built",
  fail: "failed",
  error: "error",
};

/** Resolves when the build has ended and all events were given. */
export async function pollBuild(
  client: StoreClient,
  build: {
    readonly id: string;
    readonly targets: readonly BuildTarget[];
    readonly storeDir: string;
  },
  onEvent: (event: BuildEvent) => void,
): Promise<void> {
  const start = Date.now();
  const teller = new Teller(build.id, onEvent);
  teller.tell({
    type: "build.started",
    targets: build.targets,
    storeDir: build.storeDir,
    mode: "daemon",
    user: null,
    jobs: 1,
    sandbox: "unknown",
  });
  for (;;) {
    const now = await client.call("zb.getBuild", { buildID: build.id });
    for (const result of now.results) await teller.result(client, result);
    if (now.status !== "active") {
      teller.tell({
        type: "build.finished",
        state: states[now.status],
        status: now.status,
        counts: {},
        durationMs: Date.now() - start,
        criticalPath: [],
        paths: [],
      });
      return;
    }
    await delay(pace);
  }
}

/** Tells each thing once. */
class Teller {
  readonly #buildID: string;
  readonly #onEvent: (event: BuildEvent) => void;
  /** When each result was first seen, and whether its end was told. */
  readonly #seen = new Map<string, { readonly since: number; ended: boolean }>();
  #seq = 0;

  constructor(buildID: string, onEvent: (event: BuildEvent) => void) {
    this.#buildID = buildID;
    this.#onEvent = onEvent;
  }

  tell(body: BuildEventBody): void {
    const time = new Date().toISOString();
    this.#onEvent({ v: 1, seq: ++this.#seq, time, buildID: this.#buildID, ...body });
  }

  async result(client: StoreClient, result: BuildResultMessage): Promise<void> {
    const { drvPath, status, outputs } = result;
    let seen = this.#seen.get(drvPath);
    if (seen === undefined) {
      seen = { since: Date.now(), ended: false };
      this.#seen.set(drvPath, seen);
      this.tell({ type: "result.started", drvPath, executor: "unknown", buildUser: null });
    }
    if (status === "active" || seen.ended) return;
    seen.ended = true;
    const failed = status !== "success";
    const lastLines = failed ? await this.#lastLines(client, result) : [];
    const kind = status === "fail" ? "builder" : "internal";
    const message = lastLines.findLast((line) => line.startsWith("*** ")) ?? "could not be built";
    this.tell({
      type: "result.finished",
      drvPath,
      state: failed ? (status === "fail" ? "failed" : "error") : "built",
      status,
      outputs,
      durationMs: Date.now() - seen.since,
      cpuMs: null,
      maxRssBytes: null,
      exitCode: null,
      signal: null,
      logSize: 0, // `kiln log` cannot show it: zb's daemon lists no builds
      failure: failed
        ? { kind, code: "build.failed", message: message.replace(/^\*\*\* /, ""), lastLines }
        : null,
    });
  }

  async #lastLines(client: StoreClient, result: BuildResultMessage): Promise<string[]> {
    const { drvPath, logSize } = result;
    if (logSize === 0) return [];
    const rangeStart = Math.max(0, logSize - 32 * 1024);
    const params = { buildID: this.#buildID, drvPath, rangeStart };
    const { text, base64 } = await client.call("zb.readLog", params);
    const whole = text ?? Buffer.from(base64 ?? "", "base64").toString();
    return whole.trimEnd().split("\n").slice(-shownLines);
  }
}
