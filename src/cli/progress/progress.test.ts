import assert from "node:assert/strict";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { describe, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import stringWidth from "string-width";
import type { BuildEvent, BuildEventBody } from "../../build/events.ts";
import { parseStorePath, type StorePath } from "../../format/store-path.ts";
import { BuildView } from "./build-view.ts";
import { JsonReporter } from "./json-reporter.ts";
import { liveRegion } from "./live-region.ts";
import { failureText, planLine, remedyText, summaryLine } from "./report.ts";
import { makeReporter, type ReporterOptions } from "./reporter.ts";
import { makeStyle } from "./style.ts";
import { TreeScreen } from "./tree-screen.ts";

const buildID = "01a20526-4b87-7ab8-9407-db2c23eb816e";
const start = Date.parse("2026-11-22T12:00:00.000Z");
const style = makeStyle({ colour: false, ascii: false });

function path(name: string): StorePath {
  return parseStorePath(`/opt/zb/store/${"0".repeat(32)}-${name}`);
}
const drv = (name: string): StorePath => path(`${name}.drv`);

/** A build told by its events; `at` is in seconds after its start. */
class Story {
  readonly view = new BuildView();
  readonly events: BuildEvent[] = [];
  readonly #tell: (event: BuildEvent, lines: string[]) => void;

  constructor(tell: (event: BuildEvent, lines: string[]) => void = () => {}) {
    this.#tell = tell;
  }

  tell(at: number, body: BuildEventBody): this {
    const event: BuildEvent = {
      v: 1,
      seq: this.events.length + 1,
      time: new Date(start + at * 1000).toISOString(),
      buildID,
      ...body,
    };
    this.events.push(event);
    this.#tell(event, this.view.apply(event));
    return this;
  }

  started(...targets: string[]): this {
    return this.tell(0, {
      type: "build.started",
      targets: targets.map((name) => ({ name, drvPath: drv(name) })),
      storeDir: "/opt/zb/store",
      mode: "embedded",
      user: null,
      jobs: 2,
      sandbox: "none",
    });
  }

  /** `plan({app: ["libgreet"]})`; `reuse` more are there already. */
  plan(graph: Record<string, string[]>, reuse = 0): this {
    for (const [name, inputs] of Object.entries(graph))
      this.tell(0, {
        type: "result.planned",
        drvPath: drv(name),
        name,
        action: "build",
        inputs: inputs.map(drv),
        reason: { code: "neverRealised" },
        estimateMs: null,
      });
    return this.tell(0, {
      type: "build.planned",
      counts: { reuse, substitute: 0, build: Object.keys(graph).length },
      downloadSize: 0,
      estimateMs: null,
    });
  }

  begin(at: number, name: string): this {
    return this.tell(at, {
      type: "result.started",
      drvPath: drv(name),
      executor: "process",
      buildUser: null,
    });
  }

  log(name: string, text: string): this {
    return this.tell(0, { type: "log", drvPath: drv(name), offset: 0, text });
  }

  end(
    at: number,
    name: string,
    state: "built" | "failed" | "cancelled" | "skipped",
    ms: number,
  ): this {
    const failed = state === "failed";
    return this.tell(at, {
      type: "result.finished",
      drvPath: drv(name),
      state,
      status: state === "built" ? "success" : "fail",
      outputs: [{ name: "out", path: state === "built" ? path(name) : null }],
      durationMs: ms,
      cpuMs: null,
      maxRssBytes: null,
      exitCode: failed ? 2 : 0,
      signal: null,
      logSize: failed ? 120 : 0,
      failure: failed
        ? {
            kind: "builder",
            code: "builder.exit",
            message: "builder exited with status 2",
            lastLines: ["error TS2304: Cannot find name 'grete'.", "npm \u001b[2Jerror code 2"],
          }
        : null,
    });
  }

  finish(at: number, state: "built" | "failed" | "reused" | "cancelled"): this {
    return this.tell(at, {
      type: "build.finished",
      state,
      status: state === "failed" ? "fail" : "success",
      counts: {},
      durationMs: at * 1000,
      criticalPath: [],
      paths: state === "built" ? [path("app")] : [],
    });
  }
}

/** What a reporter writes, as lines. */
async function shown(
  kind: "tree" | "plain" | "quiet",
  tell: (story: Story) => void,
  extra: Partial<ReporterOptions> = {},
): Promise<string[]> {
  const stream = new PassThrough();
  const story: Story = new Story((event, lines) => reporter.event(event, lines));
  const reporter = await makeReporter({
    kind,
    view: story.view,
    style,
    stream: Object.assign(stream, { columns: 80, rows: 24 }),
    env: {},
    logs: false,
    verbose: false,
    retry: () => "kiln build .#app --keep-failed",
    kiln: (words) => `kiln ${words}`,
    ...extra,
  });
  tell(story);
  reporter.close();
  return String(stream.read() ?? "")
    .split("\n")
    .slice(0, -1);
}

const success = (story: Story): Story =>
  story
    .started("app")
    .plan({ codegen: [], app: ["codegen"] }, 10)
    .begin(0, "codegen")
    .log("codegen", "line 1\nli")
    .end(8, "codegen", "built", 8000)
    .begin(8, "app")
    .end(12, "app", "built", 4000)
    .finish(106, "built");

const failure = (story: Story): Story =>
  story
    .started("app", "pack")
    .plan({ app: [], pack: ["app"] })
    .begin(0, "app")
    .end(12.4, "app", "failed", 12_400)
    .end(12.4, "pack", "skipped", 0)
    .finish(14.2, "failed");

test("a build of which only the last events are known has its name all the same", () => {
  const story = new Story();
  story.tell(0, {
    type: "message",
    level: "info",
    code: "x",
    text: "x",
    hint: null,
    path: null,
  });
  assert.equal(story.view.buildID, buildID);
});

describe("plain lines", () => {
  test("say the plan, what was built, and the sum", async () => {
    assert.deepEqual(await shown("plain", success), [
      "kiln: 12 derivations: 10 reused, 2 to build",
      "kiln: [11/12] codegen built in 8s",
      "kiln: [12/12] app built in 4s",
      "kiln: 2 built, 10 reused in 1m 46s",
    ]);
  });

  test("show a failure with its last lines, harmless", async () => {
    assert.deepEqual(await shown("plain", failure), [
      "kiln: 2 derivations: 2 to build",
      "kiln: [1/2] app FAILED: builder exited with status 2 after 12.4s",
      "app| error TS2304: Cannot find name 'grete'.",
      "app| npm error code 2",
      "kiln: log: kiln log 23eb816e app",
      `kiln: derivation: ${drv("app")}`,
      "kiln: try: kiln build .#app --keep-failed",
      "kiln: pack skipped: app failed",
      "kiln: failed: 1 failed, 1 skipped in 14.2s",
    ]);
  });

  test("fold a failed log in GitHub Actions and mark the failure", async () => {
    const lines = await shown("plain", failure, { env: { GITHUB_ACTIONS: "true" } });
    assert.equal(
      lines[1],
      "::error title=app::app FAILED: builder exited with status 2 after 12.4s",
    );
    assert.equal(lines[3], "::group::log of app");
    assert.equal(lines[6], "::endgroup::");
  });

  test("are the same with colours", async () => {
    const coloured = makeStyle({ colour: true, ascii: false });
    const lines = await shown("plain", failure, { style: coloured, verbose: true });
    const plain = await shown("plain", failure, { verbose: true });
    assert.deepEqual(lines.map(stripVTControlCharacters), plain);
  });

  test("carry the log with -L, each line under its name", async () => {
    const lines = await shown("plain", success, { logs: true });
    assert.deepEqual(lines.slice(1, 3), ["codegen| line 1", "codegen| li"]);
  });

  test("carry reasons and paths with -v", async () => {
    const lines = await shown("plain", success, { verbose: true });
    assert.equal(lines[1], "kiln: [11/12] codegen built in 8s (never built with success)");
    assert.equal(lines[2], `kiln: codegen -> ${path("codegen")}`);
  });

  test("say when nothing had to be built", async () => {
    const lines = await shown("plain", (story) =>
      story.started("app").plan({}, 18).finish(0.09, "reused"),
    );
    assert.deepEqual(lines, ["kiln: nothing to build: 18 reused (0.09s)"]);
  });
});

test("a sign of life comes each 30 seconds where nothing moves", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval", "Date"], now: start });
  const lines = await shown("plain", (story) => {
    story
      .started("app")
      .plan({ codegen: [], docs: [], app: ["codegen"] }, 10)
      .begin(0, "codegen");
    t.mock.timers.tick(30_000);
    story.begin(30, "docs");
    t.mock.timers.tick(30_000);
  });
  assert.deepEqual(lines.slice(1), [
    "kiln: [10/13] running: codegen 30s; 2 waiting",
    "kiln: [10/13] running: codegen 1m 00s, docs 30s; 1 waiting",
  ]);
});

test("who comes to a build under way is told what runs", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"], now: start + 60_000 });
  const lines = await shown("plain", (story) => {
    story
      .started("app")
      .plan({ codegen: [], app: ["codegen"] })
      .begin(1, "codegen");
    t.mock.timers.tick(200);
    story.end(60.2, "codegen", "built", 59_000).begin(60.2, "app");
    t.mock.timers.tick(1000);
  });
  assert.deepEqual(lines.slice(1), [
    "kiln: [0/2] running: codegen 59s; 1 waiting",
    "kiln: [1/2] codegen built in 59s",
  ]);
});

test("a failure names its page when the daemon has one", async () => {
  const page = "http://localhost:7420/";
  const lines = await shown("plain", failure, { page });
  assert.ok(lines.includes(`kiln: page: ${page}build/${buildID}/`));
  const tree = await shown("tree", failure, { page });
  assert.ok(tree.includes(`  page         ${page}build/${buildID}/`));
});

test("without UTF-8 nothing but ASCII is written, and widths stay", async () => {
  const ascii = makeStyle({ colour: false, ascii: true });
  for (const kind of ["tree", "plain"] as const) {
    const lines = await shown(
      kind,
      (story) =>
        success(story).tell(106, {
          type: "message",
          level: "info",
          code: "build.kept",
          text: "… naïve",
          hint: "hint",
          path: null,
        }),
      { style: ascii, logs: true },
    );
    assert.ok(lines.some((line) => line === "kiln: ~ na?ve (hint)"));
    for (const line of lines) assert.doesNotMatch(line, /[\u0080-\uffff]/);
  }
});

test("quiet says only what went wrong", async () => {
  assert.deepEqual(await shown("quiet", success), []);
  const lines = await shown("quiet", failure);
  assert.match(lines[0]!, /app FAILED/);
  assert.match(lines.at(-1)!, /^kiln: failed: 1 failed/);
});

describe("what helps against", () => {
  const failed = (code: string, message: string, kind: "builder" | "internal" = "builder") => {
    const { view } = new Story().plan({ app: [] }).end(1, "app", "failed", 1000);
    const result = view.result(drv("app"));
    assert.ok(result !== undefined);
    return { ...result, failure: { kind, code, message, lastLines: [] } };
  };

  test("a wrong hash is the right one, and no look at a builder's directory", () => {
    const wrong = failed(
      "fetch.hash",
      "x is not what was declared: wanted sha256-a=, got sha256-b=",
    );
    assert.equal(
      remedyText(wrong, "again"),
      "set its hash to sha256-b=, if the new content is right",
    );
    assert.equal(remedyText(failed("fetch.http", "404"), "again"), undefined);
    assert.equal(remedyText(failed("builder.exit", "exit"), "again"), "again");
  });

  test("a builder that was not started is in the message, apart from the time", () => {
    const hidden = failed("builder.start", "fork/exec /bin/sh: no such file: add it");
    assert.equal(remedyText(hidden, "again"), undefined);
    assert.equal(failureText(hidden), "fork/exec /bin/sh: no such file: add it (after 1.0s)");
  });
});

describe("the tree", () => {
  test("keeps what has ended above", async () => {
    const lines = await shown("tree", success);
    assert.equal(lines[0], "kiln: 12 derivations: 10 reused, 2 to build");
    assert.equal(lines[1], `✓ codegen${" ".repeat(80 - 9 - 2)}8s`);
    assert.equal(lines.at(-1), "kiln: 2 built, 10 reused in 1m 46s");
  });

  test("shows a failure whole", async () => {
    const lines = await shown("tree", failure);
    assert.deepEqual(lines.slice(1), [
      "✗ app               builder exited with status 2 after 12.4s",
      "  │ error TS2304: Cannot find name 'grete'.",
      "  │ npm error code 2",
      "  log          kiln log 23eb816e app",
      `  derivation   ${drv("app")}`,
      "  try          kiln build .#app --keep-failed",
      "- pack                              skipped: app failed",
      "kiln: failed: 1 failed, 1 skipped in 14.2s",
    ]);
  });

  const graph = { libgreet: [], app: ["libgreet"], "app-test": ["app"], pack: ["app"], docs: [] };
  const middle = (): BuildView =>
    new Story()
      .started("app-test", "pack", "docs")
      .plan(graph, 10)
      .begin(0, "libgreet")
      .end(21, "libgreet", "built", 21_000)
      .begin(23, "app")
      .log("app", "[42/61] src/server/router.ts\n")
      .begin(66, "docs").view;

  test("draws what is not finished under the first target that needs it", () => {
    const lines = liveRegion(middle(), style, { columns: 80, rows: 60 }, start + 72_000);
    for (const line of lines) assert.ok(line.length <= 80, line);
    assert.match(lines[0]!, /^◦ app-test {2,}$/);
    assert.match(lines[1]!, /^└ ▸ app {11}\[42\/61\] src\/server\/router\.ts {10,}49s$/);
    assert.match(lines[2]!, /^◦ pack {12}waits for app$/);
    assert.match(lines[3]!, /^▸ docs +6s$/);
    assert.match(lines[4]!, /^━+─+ 11\/15 {2}2 running, 2 waiting {2}1m 12s$/);
  });

  test("fits into a third of the rows, running ones first", () => {
    const many = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`job${i}`, []]));
    const story = new Story().started("job0").plan(many).begin(0, "job30").begin(0, "job31");
    const lines = liveRegion(story.view, style, { columns: 80, rows: 24 }, start + 5000);
    assert.equal(lines.length, 8);
    assert.match(lines[0]!, /^▸ job30/);
    assert.match(lines[6]!, /^… 34 more waiting$/);
  });

  test("is the summary alone on a narrow terminal, and has no log line on a small one", () => {
    const narrow = liveRegion(middle(), style, { columns: 40, rows: 24 }, start + 72_000);
    assert.deepEqual(narrow, ["11/15  2 running, 2 waiting  1m 12s"]);
    const small = liveRegion(middle(), style, { columns: 60, rows: 60 }, start + 72_000);
    assert.ok(small.every((line) => line.length <= 60 && !line.includes("router")));
  });

  test("takes a terminal of no columns for one of 80", async () => {
    for (const [columns, shown] of [
      [0, 80],
      [2, 80],
      [40, 40],
    ] as const) {
      const stream = Object.assign(new PassThrough(), { columns, rows: 0 });
      const screen = await TreeScreen.open({ view: middle(), style, stream, env: {} });
      assert.equal(screen.columns, shown);
      screen.changed();
      const [text] = (await once(stream, "data")) as [Buffer];
      assert.match(text.toString(), /2 running, 2 waiting/);
      screen.stop();
    }
  });

  test("takes away the rows that a narrower terminal has made of it", async () => {
    for (const [env, rows] of [
      [{}, 3],
      [{ XTERM_VERSION: "XTerm(390)" }, 0],
    ] as const) {
      const stream = Object.assign(new PassThrough(), { columns: 100, rows: 24 });
      const screen = await TreeScreen.open({ view: middle(), style, stream, env });
      screen.changed();
      await once(stream, "data");
      Object.assign(stream, { columns: 60 });
      let text = "";
      stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
      stream.emit("resize");
      screen.stop();
      const erased = `\u001b[2K${"\u001b[1A\u001b[2K".repeat(rows)}`;
      assert.ok(rows === 0 || text.startsWith(erased), JSON.stringify(text));
      // Then come the lines as they were drawn: a row each, and the one that the cursor is in.
      const all = text.split("\u001b[2K").length - 1;
      assert.equal(all, rows === 0 ? 6 : rows + 1 + 6);
    }
  });

  test("cuts lines by the columns that their characters take", () => {
    const wide = "日本語のログ👩‍👩‍👧‍👦".repeat(20);
    const story = new Story().started("app").plan({ app: [] }).begin(0, "app").log("app", wide);
    for (const columns of [80, 81, 100, 131]) {
      const [line = ""] = liveRegion(story.view, style, { columns, rows: 24 }, start + 2000);
      assert.ok(stringWidth(line) <= columns && stringWidth(line) > columns - 3, line);
      assert.match(line, /日本語.*… {1,3}2s$/);
    }
  });

  test("draws chains of any length without recursion", () => {
    const chain: Record<string, string[]> = {};
    for (let i = 0; i < 20_000; i++) chain[`n${i}`] = i === 0 ? [] : [`n${i - 1}`];
    const story = new Story().started("n19999").plan(chain);
    assert.equal(liveRegion(story.view, style, { columns: 80, rows: 24 }, start).length, 8);
  });
});

test("a cancelled build says what was kept", () => {
  const story = new Story()
    .started("app")
    .plan({ lib: [], app: ["lib"] }, 10)
    .end(1, "lib", "built", 1000)
    .end(31, "app", "cancelled", 31_000)
    .finish(54, "cancelled");
  assert.match(
    summaryLine(story.view, style),
    /^cancelled: 1 cancelled, 1 built \(kept\).* in 54\.0s$/,
  );
});

test("the plan names what changed since the last time", () => {
  const story = new Story().started("app");
  story.tell(0, {
    type: "result.planned",
    drvPath: drv("app"),
    name: "app",
    action: "build",
    inputs: [],
    reason: {
      code: "inputChanged",
      detail: {
        inputs: ["app-src"],
        previous: { buildID: "01a20526-4b87-7ab8-9407-00007ac4b2d9", drvPath: drv("old") },
      },
    },
    estimateMs: null,
  });
  story.tell(0, {
    type: "build.planned",
    counts: { reuse: 10, substitute: 0, build: 1 },
    downloadSize: 0,
    estimateMs: null,
  });
  assert.equal(
    planLine(story.view),
    "11 derivations: 10 reused, 1 to build; app-src changed since app in build 7ac4b2d9",
  );
});

test("--json writes every event as a line, logs only when asked", () => {
  for (const logs of [false, true]) {
    const stream = new PassThrough();
    const reporter = new JsonReporter(stream, { logs });
    const story = new Story((event) => reporter.event(event));
    success(story);
    const lines = String(stream.read()).trimEnd().split("\n");
    const parsed: unknown[] = lines.map((line) => JSON.parse(line));
    assert.deepEqual(
      parsed,
      story.events.filter((event) => logs || event.type !== "log"),
    );
  }
});
