import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { parseStorePath } from "../format/store-path.ts";
import { hasCode } from "../util/kiln-error.ts";
import type { BuildTask, Executor } from "./executor.ts";
import { LimitedExecutor } from "./limited-executor.ts";

const path = parseStorePath(`/opt/zb/store/${"0".repeat(32)}-x.drv`);

function taskWith(log: (text: string) => void): BuildTask {
  return {
    drvPath: path,
    derivation: {
      directory: "/opt/zb/store" as never,
      name: "x",
      inputDerivations: new Map(),
      inputSources: [],
      system: "x",
      builder: "/x",
      args: [],
      env: new Map(),
      outputs: new Map(),
    },
    env: new Map(),
    workDirectory: "/x",
    outputs: new Map(),
    inputs: [],
    realPathOf: (path) => path,
    log: { write: (chunk) => log(Buffer.from(chunk).toString()) },
    progress() {},
    systemDeps: [],
  };
}

/** Runs `act` as a builder; it ends by itself or when it is aborted. */
function executor(act: (task: BuildTask, signal: AbortSignal) => Promise<void>): Executor {
  return {
    name: "fake",
    workDirectoryInside: "/inside",
    async run(task, signal) {
      await act(task, signal);
      signal.throwIfAborted();
      return { type: "exited", code: 0 };
    },
  };
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));

test("an executor with limits is the same executor to look at", () => {
  const limited = new LimitedExecutor(
    executor(async () => {}),
    {},
  );
  assert.deepEqual([limited.name, limited.workDirectoryInside], ["fake", "/inside"]);
});

test("the time of a builder whose executor takes a place for it counts from when it has that", async () => {
  const seen: string[] = [];
  const limited = new LimitedExecutor(
    {
      ...executor(async ({ onBegin }, signal) => {
        await delay(60);
        assert.equal(signal.aborted, false);
        onBegin?.();
        await aborted(signal);
      }),
      takesPlaces: true,
    },
    { wallTime: 20 },
    ["memory"],
  );
  assert.equal(limited.takesPlaces, true);
  const task = taskWith((text) => seen.push(text));
  const onBegin = (): void => void seen.push("begun");
  await assert.rejects(limited.run({ ...task, onBegin }, new AbortController().signal), (error) =>
    hasCode(error, "limit.wallTime"),
  );
  assert.deepEqual(seen, ["begun", "*** Not limited here: memory\n"]);
});

test("a log begins with the limits that nobody enforces", async () => {
  let log = "";
  const inner = executor(async ({ log: sink }) => sink.write(Buffer.from("words\n")));
  const limited = new LimitedExecutor(inner, { logSize: 6 }, ["memory", "processes"]);
  const task = taskWith((text) => (log += text));
  await limited.run(task, new AbortController().signal);
  assert.equal(log, "*** Not limited here: memory, processes\nwords\n");
});

test("a log is kept up to its limit, and the build ended", async () => {
  let log = "";
  const limited = new LimitedExecutor(
    executor(async (task, signal) => {
      task.log.write(Buffer.from("0123456"));
      assert.equal(signal.aborted, false);
      task.log.write(Buffer.from("789ab"));
      assert.equal(signal.aborted, true);
      task.log.write(Buffer.from("more"));
      await Promise.resolve();
    }),
    { logSize: 10 },
  );
  await assert.rejects(
    limited.run(
      taskWith((text) => (log += text)),
      new AbortController().signal,
    ),
    (error) => hasCode(error, "limit.logSize") && error.kind === "builder",
  );
  assert.equal(log, "0123456789");
});

test("words put the end for silence off", async () => {
  const limited = new LimitedExecutor(
    executor(async (task, signal) => {
      for (let i = 0; i < 5; i++) {
        await new Promise((resolve) => setTimeout(resolve, 30));
        task.log.write(Buffer.from("x"));
      }
      assert.equal(signal.aborted, false);
      await aborted(signal);
    }),
    { silentTime: 100 },
  );
  await assert.rejects(
    limited.run(
      taskWith(() => {}),
      new AbortController().signal,
    ),
    (error) => hasCode(error, "limit.silentTime"),
  );
});

test("a limit of weeks ends nothing before", async () => {
  const weeks = 41 * 24 * 3_600_000;
  const patient = new LimitedExecutor(
    executor(async () => await delay(20)),
    { wallTime: weeks, silentTime: weeks },
  );
  const outcome = await patient.run(
    taskWith(() => {}),
    new AbortController().signal,
  );
  assert.deepEqual(outcome, { type: "exited", code: 0 });
});

test("who cancels a build is told of that, and not of a limit", async () => {
  const cancel = new AbortController();
  const limited = new LimitedExecutor(
    executor((_, signal) => aborted(signal)),
    { wallTime: 60_000 },
  );
  const running = limited.run(
    taskWith(() => {}),
    cancel.signal,
  );
  cancel.abort(new Error("enough"));
  await assert.rejects(running, /enough/);
});
