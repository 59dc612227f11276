/**
 * The schema of events as `kiln build --json` prints them and `kiln.watch` tells them: what docs/events.schema.json is made of. It says
 * in a checkable form what events.ts says in types.
 */
import { z } from "zod";

const time = z.iso.datetime({ precision: 3 }).describe("UTC, with milliseconds");
const count = z.int().nonnegative();
const milliseconds = count.describe("milliseconds");
const text = z.string();
const storePath = z.string().startsWith("/");

const resultState = z.enum([
  "waiting",
  "substituting",
  "running",
  "built",
  "substituted",
  "reused",
  "failed",
  "error",
  "cancelled",
  "skipped",
  "interrupted",
]);
const buildState = z.enum([
  "running",
  "built",
  "substituted",
  "reused",
  "failed",
  "error",
  "cancelled",
  "interrupted",
]);
const status = z.enum(["unknown", "active", "success", "fail", "error"]).describe("zb's word");
const action = z.enum(["reuse", "substitute", "build"]);
const reason = z.object({
  code: z.enum([
    "neverRealised",
    "inputChanged",
    "derivationChanged",
    "outputMissing",
    "cleanAsked",
    "checkAsked",
    "incompatibleClosure",
    "untrusted",
  ]),
  detail: z
    .object({
      inputs: z.array(text).optional(),
      sources: z.array(z.object({ name: text, was: storePath, is: storePath })).optional(),
      changes: z.array(text).optional(),
      previous: z.object({ buildID: text, drvPath: storePath }).optional(),
      paths: z.array(storePath).optional(),
    })
    .optional(),
});

const header = {
  v: z.literal(1),
  seq: count.describe("counts the events of a build; a log event has that of the event before"),
  time,
  buildID: text,
};

const started = z.object({
  ...header,
  type: z.literal("build.started"),
  targets: z.array(z.object({ name: text, drvPath: storePath })),
  storeDir: storePath,
  mode: z.enum(["daemon", "embedded"]),
  user: text.nullable(),
  jobs: count,
  sandbox: text,
});
const planned = z.object({
  ...header,
  type: z.literal("build.planned"),
  counts: z.object({ reuse: count, substitute: count, build: count }),
  downloadSize: count,
  estimateMs: milliseconds.nullable(),
});
const resultPlanned = z.object({
  ...header,
  type: z.literal("result.planned"),
  drvPath: storePath,
  name: text,
  action,
  inputs: z.array(storePath),
  reason: reason.nullable(),
  estimateMs: z.number().nonnegative().nullable(),
});
const resultStarted = z.object({
  ...header,
  type: z.literal("result.started"),
  drvPath: storePath,
  executor: text,
  buildUser: text.nullable(),
});
const resultPhase = z.object({
  ...header,
  type: z.literal("result.phase"),
  drvPath: storePath,
  phase: text,
  done: z.number().nullable(),
  total: z.number().nullable(),
  unit: text.nullable(),
});
const log = z.object({
  ...header,
  type: z.literal("log"),
  drvPath: storePath,
  offset: count,
  text: text.optional(),
  base64: z.base64().optional(),
});
const substituted = z.object({
  ...header,
  type: z.literal("object.substituted"),
  path: storePath,
  from: text,
  downloadSize: count,
  narSize: count,
  durationMs: milliseconds,
});
const added = z.object({
  ...header,
  type: z.literal("object.added"),
  path: storePath,
  narHash: text,
  narSize: count,
  ca: text.nullable(),
  how: z.enum(["built", "imported", "substituted"]),
});
const resultFinished = z.object({
  ...header,
  type: z.literal("result.finished"),
  drvPath: storePath,
  state: resultState,
  status,
  outputs: z.array(z.object({ name: text, path: storePath.nullable() })),
  durationMs: milliseconds,
  cpuMs: z.number().nonnegative().nullable(),
  maxRssBytes: count.nullable(),
  exitCode: z.int().nullable(),
  signal: text.nullable(),
  logSize: count,
  failure: z
    .object({
      kind: z.enum(["builder", "input", "limit", "internal"]),
      code: text.describe("see faults.md"),
      message: text,
      cause: z
        .object({ number: z.int().positive(), text })
        .optional()
        .describe("the line that looks like an error, where it comes before the last ones"),
      lastLines: z.array(text),
    })
    .nullable(),
});
const finished = z.object({
  ...header,
  type: z.literal("build.finished"),
  state: buildState,
  status,
  counts: z.partialRecord(resultState, count),
  durationMs: milliseconds,
  criticalPath: z.array(z.object({ drvPath: storePath, durationMs: milliseconds })),
  paths: z.array(storePath),
});
const tick = z.object({
  ...header,
  type: z.literal("tick"),
  running: z.array(z.object({ drvPath: storePath, durationMs: milliseconds })),
  waiting: count,
});
const message = z.object({
  ...header,
  type: z.literal("message"),
  level: z.enum(["debug", "info", "warn", "error"]),
  code: text,
  text,
  hint: text.nullable(),
  path: text.nullable(),
});
const dropped = z.object({ ...header, type: z.literal("dropped"), count });

const event = z.discriminatedUnion("type", [
  started,
  planned,
  resultPlanned,
  resultStarted,
  resultPhase,
  log,
  substituted,
  added,
  resultFinished,
  finished,
  tick,
  message,
  dropped,
]);

/** Every event, one schema for each type. */
export const eventSchema: z.ZodType = event;

/** The types of events that there are. */
export const eventTypes: readonly string[] = event.options.map(({ shape }) => shape.type.value);

/** The JSON schema of one line. Members may be added to events later: more than is listed is no fault. */
export function eventJsonSchema(): object {
  return {
    title: "An event of a build",
    description: "One line of kiln build --json",
    ...z.toJSONSchema(event, { io: "input" }),
  };
}
