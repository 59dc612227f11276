/**
 * Checkers of parameters and results, made of zod schemas: as strict as the table in docs/protocol.md. Unknown members are ignored,
 * names are case-sensitive; strings are made well-formed, so that no half of a surrogate pair can pass for a byte.
 */
import { z } from "zod";
import { isDerivationPath, parseStorePath, type StorePath } from "../format/store-path.ts";
import { printable } from "../util/printable.ts";
import { ErrorCode, invalidParams, RpcError } from "./errors.ts";
import type * as protocol from "./protocol.ts";
import type { Method, Params, Result } from "./protocol.ts";

/**
 * The parameters of a request, checked. `undefined` stands for a message without `params`, null for an empty object.
 *
 * @throws RpcError -32602
 */
export function checkParams<M extends Method>(method: M, params: unknown): Params<M> {
  const checker: Checker<M> = checkers[method];
  if (params === undefined && checker.needsParams) {
    throw invalidParams(`${method}: params are missing`);
  }
  const checked = checker.params.safeParse(params ?? {});
  if (checked.success) return checked.data;
  throw invalidParams(`${method}: ${describe("params", checked.error)}`);
}

/**
 * A result as it came from a server, checked; members it does not know stay.
 *
 * @throws RpcError `rpc.internal` when the server answered something else.
 */
export function checkResult<M extends Method>(method: M, result: unknown): Result<M> {
  const checker: Checker<M> = checkers[method];
  const checked = checker.result.safeParse(result);
  if (checked.success) return checked.data;
  const what = describe("result", checked.error);
  throw new RpcError(ErrorCode.internal, `${method}: unexpected answer: ${what}`, {
    kind: "internal",
  });
}

/** Whether there is such a method. */
export function isMethod(name: string): name is Method {
  return Object.hasOwn(checkers, name);
}

interface Checker<M extends Method> {
  readonly params: z.ZodType<Params<M>>;
  readonly result: z.ZodType<Result<M>>;
  /** Whether a message without `params` is refused. */
  readonly needsParams: boolean;
}

const text = z.string().overwrite((value) => value.toWellFormed());

/** A name that others are shown, in lists and on terminals. */
const label = text.refine((name) => name.length <= 1000 && printable(name) === name, {
  error: "expected a name of 1,000 characters at most, in one line and without control characters",
});

/** A string that counts as empty when missing, as in zb. */
const textOrEmpty = text.nullish().transform((value) => value ?? "");

const storePath = z.string().transform((value, context): StorePath => {
  try {
    return parseStorePath(value);
  } catch (error) {
    context.addIssue({ code: "custom", message: error instanceof Error ? error.message : "" });
    return z.NEVER;
  }
});

const derivationPath = storePath.refine(isDerivationPath, {
  error: (issue) => `${String(issue.input)} is not a derivation`,
});

const derivationPaths = z.preprocess(
  (value) => value ?? [],
  z.array(derivationPath).min(1, { error: "no derivation given" }),
);

const storePaths = z.array(storePath);
const noPaths: readonly StorePath[] = [];

/** A member that may be missing or null, which is the same. */
function optional<T>(schema: z.ZodType<T>): z.ZodType<T | undefined> {
  return schema.nullish().transform((value) => value ?? undefined);
}

const flag = optional(z.boolean());

/** An integer of 64 bits. Beyond 2^53 it is not exact, and no less out of every range that matters. */
const integer = z.number().refine((value) => Number.isInteger(value) && Math.abs(value) < 2 ** 63, {
  error: "expected a 64-bit integer",
});

const publicKey: z.ZodType<protocol.PublicKeyMessage> = z.object({
  format: z.literal("ed25519"),
  publicKey: text,
});

const reuse: z.ZodType<protocol.ReuseMessage | null | undefined> = z
  .object({ all: flag, publicKeys: optional(z.array(publicKey)) })
  .nullish();

const target: z.ZodType<protocol.TargetMessage> = z.object({
  name: label,
  drvPath: derivationPath,
});

const nothing = z.unknown().transform(() => ({}));
const empty = z.object({});
const paths = z.object({
  paths: z
    .array(storePath)
    .nullish()
    .transform((value) => value ?? noPaths),
});
const buildID = z.object({ buildID: textOrEmpty });

const readLog = buildID
  .extend({
    drvPath: optional(storePath),
    rangeStart: optional(integer),
    rangeEnd: optional(integer),
  })
  // Without a derivation there is no log, whatever the range, as in zb.
  .refine(({ drvPath, rangeStart = 0 }) => drvPath === undefined || rangeStart >= 0, {
    error: "must not be negative",
    path: ["rangeStart"],
  })
  .refine(
    ({ drvPath, rangeStart = 0, rangeEnd }) =>
      drvPath === undefined || rangeEnd === undefined || rangeEnd > rangeStart,
    { error: "must be greater than rangeStart", path: ["rangeEnd"] },
  );

const count = integer.refine((value) => value >= 0, { error: "must not be negative" });

// Results. A server may say more than is asked for here.
const status = z.enum(["unknown", "active", "success", "fail", "error"]);
// No z.record: it drops the name `__proto__`, which an environment may have.
const texts = z.custom<Readonly<Record<string, string>>>(
  (value) =>
    typeof value === "object" &&
    value !== null &&
    Object.values(value).every((member) => typeof member === "string"),
  { error: "expected an object of strings" },
);
const nullable = z.string().nullable();

const info: z.ZodType<protocol.ObjectInfoMessage> = z.looseObject({
  narHash: z.string(),
  narSize: z.number(),
  references: z.array(storePath),
  ca: z.string(),
});

const output: z.ZodType<protocol.OutputMessage> = z.looseObject({
  name: z.string(),
  path: storePath.nullable(),
  signatures: z.array(publicKey.and(z.looseObject({ signature: z.string() }))).optional(),
});

const buildResult: z.ZodType<protocol.BuildResultMessage> = z.looseObject({
  drvPath: storePath,
  status,
  outputs: z.array(output),
  logSize: z.number(),
  drvHash: nullable.optional(),
});

const build: z.ZodType<protocol.BuildMessage> = z.looseObject({
  id: z.string(),
  status,
  startedAt: z.string(),
  endedAt: nullable,
  results: z.array(buildResult),
  expand: z
    .object({
      builder: z.string(),
      args: z.array(z.string()),
      env: texts,
    })
    .optional(),
});

const hello: z.ZodType<protocol.HelloMessage> = z.looseObject({
  name: z.literal("kiln"),
  version: z.string(),
  protocol: z.number(),
  pid: z.number(),
  storeDirectory: z.string(),
  realStoreDirectory: z.string(),
  system: z.string(),
  jobs: z.number(),
  systemDeps: z.array(z.string()),
  role: z.string().optional(),
  sandbox: z.string(),
  isolation: z.string().optional(),
  page: z.string().optional(),
});

const importReport: z.ZodType<protocol.ImportReportMessage> = z.looseObject({
  storePath: z.string(),
  status: z.enum(["imported", "present", "rejected"]),
  code: z.string().optional(),
  message: z.string().optional(),
  hint: z.string().optional(),
});

const listedObject = z.looseObject({ path: storePath, narSize: z.number() });

const buildSummary: z.ZodType<protocol.BuildSummaryMessage> = z.looseObject({
  id: z.string(),
  status,
  state: z.string(),
  startedAt: z.string(),
  endedAt: nullable,
  targets: z.array(z.looseObject({ name: z.string(), drvPath: storePath })),
  counts: z.record(z.string(), z.number()),
  user: nullable.optional(),
});

const kilnResult: z.ZodType<protocol.KilnResultMessage> = z.looseObject({
  drvPath: storePath,
  name: z.string(),
  state: z.string(),
  status: status.nullable(),
  reason: z.looseObject({ code: z.string(), detail: z.unknown().optional() }).nullable(),
  startedAt: nullable,
  endedAt: nullable,
  durationMs: z.number().nullable(),
  outputs: z.array(output),
  logSize: z.number(),
  executor: nullable.optional(),
  isolation: nullable.optional(),
  drvHash: nullable.optional(),
  failure: z.looseObject({ kind: z.string(), code: z.string(), message: z.string() }).nullable(),
});

const root: z.ZodType<protocol.RootMessage> = z.looseObject({
  name: z.string(),
  kind: z.enum(["name", "link"]),
  path: storePath,
  user: nullable,
  createdAt: z.string(),
});

const collection: z.ZodType<protocol.CollectionMessage> = z.looseObject({
  removed: z.array(listedObject),
  count: z.number(),
  bytes: z.number(),
  left: z.looseObject({ count: z.number(), bytes: z.number() }),
  recent: z.number(),
});

const verification: z.ZodType<protocol.VerificationMessage> = z.looseObject({
  checked: z.number(),
  bytes: z.number(),
  damaged: z.array(
    z.looseObject({
      path: storePath,
      kind: z.enum(["missing", "contents", "metadata", "unreadable"]),
      message: z.string(),
      repair: z.enum(["repaired", "quarantined", "failed"]).nullable(),
      failure: z.string().optional(),
    }),
  ),
  foreign: z.array(z.string()),
});

const plan: z.ZodType<protocol.PlanMessage> = z.looseObject({
  counts: z.looseObject({ reuse: z.number(), substitute: z.number(), build: z.number() }),
  downloadSize: z.number(),
  estimateMs: z.number().nullable(),
  results: z.array(
    z.looseObject({
      drvPath: storePath,
      name: z.string(),
      action: z.enum(["reuse", "substitute", "build"]),
      inputs: storePaths,
      reason: z.looseObject({ code: z.string(), detail: z.unknown().optional() }).nullable(),
      estimateMs: z.number().nullable(),
    }),
  ),
});

const buildStarted = z.looseObject({ buildID: z.string() });

const checkers: { readonly [M in Method]: Checker<M> } = {
  "zb.exists": {
    needsParams: true,
    params: z.object({ path: textOrEmpty }),
    result: z.boolean(),
  },
  "zb.info": {
    needsParams: true,
    params: z.object({ path: optional(storePath) }),
    result: z.looseObject({ info: info.nullable() }),
  },
  "zb.export": {
    needsParams: true,
    params: paths.extend({ excludeReferences: flag }),
    result: z.null(),
  },
  "zb.expand": {
    needsParams: true,
    params: z.object({ drvPath: derivationPath, tempDir: optional(text), reuse }),
    result: buildStarted,
  },
  "kiln.plan": {
    needsParams: true,
    params: z.object({ drvPath: derivationPaths, reuse, check: flag }),
    result: plan,
  },
  "zb.realize": {
    needsParams: true,
    params: z.object({
      drvPath: derivationPaths,
      keepFailed: flag,
      reuse,
      keepGoing: flag,
      check: flag,
      targets: optional(z.array(target)),
    }),
    result: buildStarted,
  },
  "zb.getBuild": { needsParams: true, params: buildID, result: build },
  "zb.getBuildResult": {
    needsParams: true,
    params: buildID.extend({ drvPath: storePath }),
    result: buildResult,
  },
  "zb.cancelBuild": { needsParams: true, params: buildID, result: z.null() },
  "zb.readLog": {
    needsParams: true,
    params: readLog,
    result: z.looseObject({
      text: z.string().optional(),
      base64: z.string().optional(),
      eof: z.boolean(),
    }),
  },
  "zb.nop": { needsParams: false, params: nothing, result: z.null() },
  "zb.fetch": {
    needsParams: true,
    params: paths,
    result: z.looseObject({ found: z.record(z.string(), info) }),
  },
  "kiln.hello": { needsParams: false, params: nothing, result: hello },
  "kiln.missing": {
    needsParams: true,
    params: z.object({ paths: storePaths }),
    result: z.looseObject({ missing: z.array(storePath) }),
  },
  "kiln.importReport": {
    needsParams: false,
    params: empty,
    result: z.looseObject({ reports: z.array(importReport) }),
  },
  "kiln.delete": {
    needsParams: true,
    params: z.object({ paths: storePaths, recursive: flag }),
    result: z.looseObject({ deleted: z.array(storePath) }),
  },
  "kiln.roots": {
    needsParams: false,
    params: empty,
    result: z.looseObject({ roots: z.array(root) }),
  },
  "kiln.addRoot": {
    needsParams: true,
    params: z.object({ name: text, path: optional(storePath) }),
    result: z.looseObject({ root }),
  },
  "kiln.removeRoot": { needsParams: true, params: z.object({ name: text }), result: z.null() },
  "kiln.collect": {
    needsParams: false,
    params: z.object({
      paths: optional(storePaths),
      olderThan: optional(count),
      maxSize: optional(count),
      keepFree: optional(count),
      dryRun: flag,
    }),
    result: collection,
  },
  "kiln.verify": {
    needsParams: false,
    params: z.object({
      paths: optional(storePaths),
      contents: flag,
      before: optional(count),
      repair: flag,
    }),
    result: verification,
  },
  "kiln.register": {
    needsParams: true,
    params: z.object({ info: text }),
    result: z.null(),
  },
  "kiln.objects": {
    needsParams: false,
    params: z.object({ after: optional(storePath), limit: optional(count) }),
    result: z.looseObject({ objects: z.array(listedObject) }),
  },
  "kiln.closure": {
    needsParams: true,
    params: z.object({ paths: storePaths, referrers: flag }),
    result: z.looseObject({
      objects: z.array(listedObject.extend({ references: z.array(storePath) })),
    }),
  },
  "kiln.builds": {
    needsParams: false,
    params: z.object({ limit: optional(count), running: flag }),
    result: z.looseObject({ builds: z.array(buildSummary) }),
  },
  "kiln.results": {
    needsParams: true,
    params: z.object({ buildID: text }),
    result: z.looseObject({ results: z.array(kilnResult) }),
  },
  "kiln.watch": {
    needsParams: true,
    params: z.object({
      buildID: text,
      after: optional(count),
      logs: optional(z.enum(["all", "tail"])),
    }),
    result: z.null(),
  },
};

/** The first fault, for a person: `params.rangeStart: must not be negative`. */
function describe(root: string, error: z.ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return `${root}: not accepted`;
  const place = [root, ...issue.path.map(String)].join(".");
  return `${place}: ${issue.message.replace(/^Invalid input: /, "")}`;
}
