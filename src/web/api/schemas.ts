/** Schemas of all that `messages.ts` describes, each under a name of its own in the OpenAPI document. */
import { z } from "zod";
import type * as m from "./messages.ts";

const time = z.iso.datetime();
const size = z.int().nonnegative();
const text = z.string();

/** All schemas that have a name. */
export const named: z.core.$ZodRegistry<{ id: string }> = z.registry<{ id: string }>();

function name<T extends z.ZodType>(id: string, schema: T): T {
  named.add(schema, { id });
  return schema;
}

const target = name("Target", z.object({ name: text, drvPath: text }));
const note = z.object({ subject: text.nullable(), drvPath: text.nullable(), text });
const buildShape = {
  id: text,
  kind: z.enum(["realize", "expand"]),
  state: text,
  user: text.nullable(),
  startedAt: time,
  endedAt: time.nullable(),
  targets: z.array(target),
  counts: z.record(text, size),
  note: note.nullable(),
};
export const build: z.ZodType<m.BuildMessage> = name("Build", z.object(buildShape));
export const builds: z.ZodType<m.BuildsMessage> = name(
  "Builds",
  z.object({ builds: z.array(build), total: size, retentionMs: z.number().nullable() }),
);
const runningResult = z.object({
  drvPath: text,
  name: text,
  startedAt: time,
  estimateMs: z.number().nullable(),
});
export const running: z.ZodType<m.RunningMessage> = name(
  "Running",
  z.object({
    builds: z.array(z.object({ ...buildShape, running: z.array(runningResult) })),
    jobs: size,
    jobsUsed: size,
    waiting: size,
  }),
);
export const finished: z.ZodType<m.FinishedMessage> = name("Finished", z.object({ build }));
const reason = z.object({
  code: text,
  inputs: z.array(text),
  changes: z.array(text),
  paths: z.array(text),
  previousBuildID: text.nullable(),
});
const output = z.object({ name: text, path: text.nullable() });
const failure = z.object({ kind: text, code: text, message: text });
export const result: z.ZodType<m.ResultMessage> = name(
  "Result",
  z.object({
    drvPath: text,
    name: text,
    state: text,
    isTarget: z.boolean(),
    reason: reason.nullable(),
    startedAt: time.nullable(),
    endedAt: time.nullable(),
    durationMs: z.number().nullable(),
    estimateMs: z.number().nullable(),
    outputs: z.array(output),
    inputs: z.array(text),
    logSize: size,
    executor: text.nullable(),
    isolation: text.nullable(),
    buildUser: text.nullable(),
    exitCode: z.int().nullable(),
    signal: text.nullable(),
    failure: failure.nullable(),
  }),
);
export const buildDetail: z.ZodType<m.BuildDetailMessage> = name(
  "BuildDetail",
  z.object({
    ...buildShape,
    results: z.array(result),
    seq: size,
    jobs: size,
    failure: text.nullable(),
  }),
);
export const results: z.ZodType<{ readonly results: readonly m.ResultMessage[] }> = name(
  "Results",
  z.object({ results: z.array(result) }),
);
const cause = z.object({
  isError: z.boolean(),
  lines: z.array(z.object({ number: size, text })),
});
export const logInfo: z.ZodType<m.LogInfoMessage> = name(
  "LogInfo",
  z.object({
    size,
    lines: size,
    finished: z.boolean(),
    present: z.boolean(),
    cause: cause.nullable(),
  }),
);
export const resultDetail: z.ZodType<m.ResultDetailMessage> = name(
  "ResultDetail",
  z.object({ build, result, log: logInfo }),
);
const logLine = z.object({ number: size, text, offset: size, length: size, cut: z.boolean() });
export const logLines: z.ZodType<m.LogLinesMessage> = name(
  "LogLines",
  z.object({ lines: z.array(logLine), total: size, size }),
);
export const logGrown: z.ZodType<m.LogGrownMessage> = name(
  "LogGrown",
  z.object({
    from: size,
    size,
    lines: size,
    finished: z.boolean(),
    text: text.nullable(),
    line: size,
  }),
);
export const logSearch: z.ZodType<m.LogSearchMessage> = name(
  "LogSearch",
  z.object({
    total: size,
    before: size,
    lines: z.array(size),
    ticks: z.array(z.int().min(0).max(1)),
  }),
);
const listedShape = { path: text, name: text, narSize: size, registeredAt: time };
export const listedObject: z.ZodType<m.ListedObjectMessage> = name(
  "ListedObject",
  z.object(listedShape),
);
export const objects: z.ZodType<m.ObjectsMessage> = name(
  "Objects",
  z.object({ total: size, objects: z.array(listedObject) }),
);
const maker = z.object({
  buildID: text,
  drvPath: text,
  name: text,
  output: text,
  state: text,
  endedAt: time.nullable(),
});
export const object: z.ZodType<m.ObjectMessage> = name(
  "Object",
  z.object({
    ...listedShape,
    narHash: text,
    ca: text.nullable(),
    references: size,
    referrers: size,
    closureCount: size,
    closureSize: size,
    isDerivation: z.boolean(),
    madeBy: z.array(maker),
  }),
);
const related = z.object({
  path: text,
  name: text,
  narSize: size,
  closureSize: size,
  isItself: z.boolean(),
});
export const relatedObjects: z.ZodType<m.RelatedObjectsMessage> = name(
  "RelatedObjects",
  z.object({ total: size, objects: z.array(related) }),
);
export const closure: z.ZodType<m.ClosureMessage> = name(
  "Closure",
  z.object({
    total: size,
    narSize: size,
    nodes: z.array(z.object({ path: text, name: text, narSize: size, references: z.array(text) })),
  }),
);
const fileShape = {
  name: text,
  type: z.enum(["directory", "regular", "symlink"]),
  size,
  executable: z.boolean(),
  target: text.nullable(),
};
export const files: z.ZodType<m.FilesMessage> = name(
  "Files",
  z.object({
    ...fileShape,
    path: text,
    entries: z.array(z.object(fileShape)).nullable(),
    more: size,
  }),
);
export const derivation: z.ZodType<m.DerivationMessage> = name(
  "Derivation",
  z.object({
    path: text,
    name: text,
    system: text,
    builder: text,
    args: z.array(text),
    env: z.record(text, text),
    inputSources: z.array(text),
    inputDerivations: z.array(z.object({ path: text, outputs: z.array(text) })),
    outputs: z.array(
      z.object({ name: text, path: text.nullable(), hashAlgo: text, hash: text.nullable() }),
    ),
    realisations: z.array(
      z.object({
        buildID: text,
        endedAt: time,
        durationMs: size,
        outputs: z.array(z.object({ name: text, path: text, present: z.boolean() })),
      }),
    ),
  }),
);
const past = { endedAt: time, durationMs: size };
export const disk: z.ZodType<m.DiskMessage> = name(
  "Disk",
  z.object({
    storeDirectory: text,
    realStoreDirectory: text,
    objects: size,
    narSize: size,
    free: size,
    total: size,
    heldByRoots: size,
    collectableObjects: size,
    collectableSize: size,
    lastCollection: z.object({ ...past, count: size, size }).nullable(),
    lastVerification: z.object({ ...past, checked: size, damaged: size }).nullable(),
    largestNames: z.array(z.object({ name: text, count: size, narSize: size })),
    largestObjects: z.array(listedObject),
  }),
);
const finding = z.object({
  about: text,
  state: z.enum(["good", "weak", "bad"]),
  text,
  hint: text.nullable(),
});
export const health: z.ZodType<m.HealthMessage> = name(
  "Health",
  z.object({
    version: text,
    node: text,
    system: text,
    pid: size,
    startedAt: time,
    storeDirectory: text,
    mode: z.enum(["daemon", "embedded"]),
    isolation: text,
    jobs: size,
    jobsUsed: size,
    runningBuilds: size,
    waiting: size,
    memory: size,
    findings: z.array(finding),
    administrable: z.boolean(),
  }),
);
export const roots: z.ZodType<m.RootsMessage> = name(
  "Roots",
  z.object({
    roots: z.array(
      z.object({
        name: text,
        kind: z.enum(["name", "link"]),
        path: text,
        user: text.nullable(),
        createdAt: time,
        closureCount: size,
        closureSize: size,
        onlyHere: size,
      }),
    ),
  }),
);
export const collected: z.ZodType<m.CollectedMessage> = name(
  "Collected",
  z.object({
    count: size,
    size,
    objects: z.array(z.object({ path: text, name: text, narSize: size })),
    recent: size,
    leftCount: size,
    leftSize: size,
  }),
);
export const deleted: z.ZodType<m.DeletedMessage> = name(
  "Deleted",
  z.object({ deleted: z.array(text) }),
);
export const fault: z.ZodType<m.ErrorMessage> = name(
  "Error",
  z.object({ code: text, message: text, hint: text.optional() }),
);
