/**
 * A daemon in little: opens a sandbox executor and runs the builds it is told on standard input, one JSON text per line, and tells
 * how they ended on standard output. A process of its own, so that it can run as another user, and be killed.
 *
 *     node sandbox-bench.ts FOLDER OPTIONS
 */
import { randomUUID } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { builderEnvironment } from "../../src/build/environment.ts";
import type { BuildOutcome, BuildTask, BuildUser } from "../../src/build/executor.ts";
import { type BuildLimits, LimitedExecutor } from "../../src/build/limited-executor.ts";
import { ProcessExecutor } from "../../src/build/process-executor.ts";
import { SandboxExecutor } from "../../src/build/sandbox-executor.ts";
import { findHierarchies } from "../../src/build/sandbox/control-groups.ts";
import { describeLimits, type SandboxLimits } from "../../src/build/sandbox/limits.ts";
import { checkSandboxPaths, type SandboxPathOptions } from "../../src/build/sandbox/paths.ts";
import { probeSandbox, type WorkingSupport } from "../../src/build/sandbox/support.ts";
import { freeze } from "../../src/files/freeze.ts";
import { removeTree } from "../../src/files/remove-tree.ts";
import {
  defaultStoreDirectory,
  parseStoreDirectory,
  type StorePath,
  storePathFor,
} from "../../src/format/store-path.ts";
import { closeInheritedDescriptors } from "../../src/util/inherited-descriptors.ts";
import { errorCode } from "../../src/files/file-error.ts";
import { KilnError } from "../../src/util/kiln-error.ts";
import { isStarter } from "./starter-of.ts";

export interface BenchOptions {
  readonly user?: BuildUser;
  /** Beside those of the host that a shell needs. */
  readonly paths?: Readonly<Record<string, string>>;
  readonly limits?: BuildLimits & SandboxLimits;
  readonly grace?: number;
  readonly storeDirectory?: string;
  /** Does not close what it was given, as a library would not. */
  readonly keepDescriptors?: boolean;
  /** As on a machine without user namespaces. */
  readonly withoutInner?: boolean;
  /** As when `unshare` died before process 1 had asked to be killed with it. */
  readonly withoutDeathSignal?: boolean;
  /** As when all that process 1 has started is killed before it mounts anything. */
  readonly killedBeforeMounts?: boolean;
  /** As on a machine without these programs; without guard, shells make the sandbox, and without dash, bash is the shell. */
  readonly without?: readonly ("ip" | "hostname" | "dash" | "bash" | "prlimit" | "guard")[];
  /** Builds without a sandbox, for comparison; the store directory is then the real one. */
  readonly plain?: boolean;
  /** Builders with a network reach this machine, too. */
  readonly allowLocal?: boolean;
}

export interface BenchBuild {
  /** For /bin/sh; `$out` is the output. */
  readonly script?: string;
  readonly builder?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Names of objects in the store that the builder may see: see {@link BenchCall}. */
  readonly inputs?: readonly string[];
  readonly fixed?: boolean;
  /** Cancelled when this is in the log. */
  readonly cancelAt?: string;
  /** Cancelled after so many milliseconds. */
  readonly cancelAfter?: number;
}

/** How a build ended, and what it left. */
export interface BenchReport {
  readonly outcome?: BuildOutcome;
  readonly error?: { readonly code: string; readonly message: string };
  readonly log: string;
  /** Undefined when there is none. */
  readonly output?: Entry | undefined;
  /** Whether it lay where it was said to be while the builder ran. */
  readonly wasWatched: boolean;
  /** What becomes of it when it is made an object, or the code of the error. */
  readonly frozen?: Entry | string | undefined;
  readonly durationMs: number;
  /** What lies in private folders, beside kept mountpoints; and processes of the build. */
  readonly left: readonly string[];
}

export interface Entry {
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Of a file; the target of a link; the names in a directory. */
  readonly content: string | readonly string[];
}

/** What an object consists of: a text is a file, `-> x` in a list a link to x, else names of files in a directory. */
export type ObjectContent = string | readonly string[];

export type BenchCall =
  | { readonly type: "build"; readonly build: BenchBuild }
  | { readonly type: "object"; readonly name: string; readonly content: ObjectContent };

const [, , folder = "", optionsText = "{}"] = process.argv;
const options = JSON.parse(optionsText) as BenchOptions;
if (options.keepDescriptors !== true) closeInheritedDescriptors();
const realDirectory = join(folder, "store");
const storeDirectory = options.plain
  ? parseStoreDirectory(realDirectory)
  : parseStoreDirectory(options.storeDirectory ?? defaultStoreDirectory);
const slotsDirectory = join(realDirectory, ".kiln", "sandbox");
const scratch = join(realDirectory, ".kiln", "tmp");
for (const path of [slotsDirectory, scratch, join(folder, "builds")]) {
  mkdirSync(path, { recursive: true, mode: 0o700 });
}
const found = await probeSandbox({ directory: scratch });
if (!found.available) throw new Error(`${found.reason}: ${found.hint}`);
const support = withLess(found);
const hostPaths = ["/bin", "/lib", "/lib64", "/usr"].filter((path) => existsSync(path));
const node = dirname(process.execPath);
const paths = new Map<string, SandboxPathOptions>([
  ...hostPaths.map((path) => [path, { alwaysPresent: true }] as const),
  ["/node", { path: node, alwaysPresent: true }],
  ...Object.entries(options.paths ?? {}).map(
    ([inside, path]) => [inside, { path, alwaysPresent: true }] as const,
  ),
]);
const sandbox = await SandboxExecutor.open({
  support,
  storeDirectory,
  realDirectory,
  slotsDirectory,
  paths: checkSandboxPaths(paths, storeDirectory),
  limits: options.limits ?? {},
  ...(options.grace !== undefined && { grace: options.grace }),
  ...(options.allowLocal === true && { network: { allows: () => true, environment: {} } }),
  log: (_, text) => process.stderr.write(`${text}\n`),
});
const plain = new ProcessExecutor({
  storeDirectory,
  realDirectory,
  temporaryDirectory: scratch,
  claim: async () => await Promise.resolve({ async [Symbol.asyncDispose]() {} }),
});
const executor = new LimitedExecutor(options.plain ? plain : sandbox, options.limits ?? {});
const limitedBy = describeLimits(findHierarchies(), support.tools.prlimit !== undefined);
process.stdout.write(`${JSON.stringify({ limitedBy: limitedBy.join(", ") })}\n`);

for await (const line of createInterface({ input: process.stdin })) {
  const { id, call } = JSON.parse(line) as { id: number; call: BenchCall };
  void answer(id, call);
}
await Promise.all([sandbox, plain].map((one) => one[Symbol.asyncDispose]()));

/** What the probe would have found on a lesser machine. */
function withLess(support: WorkingSupport): WorkingSupport {
  const { without = [], withoutInner = false } = options;
  const { withoutDeathSignal = false, killedBeforeMounts = false } = options;
  const dropKillChild =
    'for word; do shift; [ "$word" = --kill-child ] || set -- "$@" "$word"; done';
  const { tools, guard } = support;
  const { bash } = tools;
  const isChanged = withoutDeathSignal || killedBeforeMounts;
  return {
    ...support,
    inner: !withoutInner,
    guard:
      guard === undefined || without.includes("guard")
        ? undefined
        : { ...guard, program: isChanged ? changedPerl(guard.program) : guard.program },
    tools: {
      ...tools,
      unshare: withoutDeathSignal
        ? standIn("unshare", dropKillChild, tools.unshare)
        : tools.unshare,
      mount: killedBeforeMounts ? standIn("mount", "kill -KILL -1", tools.mount) : tools.mount,
      ip: without.includes("ip") ? undefined : tools.ip,
      hostname: without.includes("hostname") ? undefined : tools.hostname,
      prlimit: without.includes("prlimit") ? undefined : tools.prlimit,
      bash: without.includes("bash") ? undefined : bash,
      shell: without.includes("dash") && bash !== undefined ? bash : tools.shell,
    },
  };
}

/** Runs a changed `init.pl`. */
function changedPerl(program: string): string {
  const original = fileURLToPath(new URL("../../src/build/sandbox/init.pl", import.meta.url));
  const [deathSignal, ready] = ['do_call("prctl", 1, 9);', "sysread $news, my $ready, 1 or"];
  const text = readFileSync(original, "utf8");
  if (![deathSignal, ready].every((part) => text.split(part).length === 2)) {
    throw new Error("init.pl has other words now");
  }
  const changed = join(folder, "init.pl");
  const first = options.withoutDeathSignal === true ? "" : deathSignal;
  const kill = options.killedBeforeMounts === true ? "kill KILL => -1; " : "";
  writeFileSync(changed, text.replace(deathSignal, first).replace(ready, `${kill}${ready}`));
  const swap = `for word; do shift; [ "$word" = '${original}' ] && word='${changed}'; set -- "$@" "$word"; done`;
  return standIn("perl", swap, program);
}

/** A program that does something before it becomes another. */
function standIn(name: string, first: string, program: string): string {
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\n${first}\nexec ${program} "$@"\n`, { mode: 0o755 });
  return file;
}

async function answer(id: number, call: BenchCall): Promise<void> {
  const result =
    call.type === "build" ? await build(call.build) : makeObject(call.name, call.content);
  process.stdout.write(`${JSON.stringify({ id, result })}\n`);
}

function makeObject(name: string, content: ObjectContent): StorePath {
  const digest = Array.from(name.padEnd(32, "0"), (c) => (/[0-9a-df-np-sv-z]/.test(c) ? c : "0"));
  const path = storePathFor(storeDirectory, `${digest.join("").slice(0, 32)}-${name}`);
  const real = join(realDirectory, path.slice(storeDirectory.length));
  if (typeof content !== "string") {
    mkdirSync(real);
    for (const entry of content) writeFileSync(join(real, entry), entry, { mode: 0o444 });
    chmodSync(real, 0o555);
  } else if (content.startsWith("-> ")) {
    symlinkSync(content.slice(3), real);
  } else {
    writeFileSync(real, content, { mode: 0o444 });
  }
  return path;
}

async function build(wanted: BenchBuild): Promise<BenchReport> {
  const name = randomUUID()
    .replaceAll(/[eotu]/g, "0")
    .replaceAll("-", "")
    .slice(0, 32);
  const logical = storePathFor(storeDirectory, `${name}-out`);
  const real = join(scratch, `${name}-output`);
  const workDirectory = join(folder, "builds", name);
  mkdirSync(workDirectory, { mode: 0o700 });
  if (options.user !== undefined) chownSync(workDirectory, options.user.uid, options.user.gid);
  let log = "";
  let wasWatched = false;
  const cancel = new AbortController();
  const env = new Map([
    ["out", logical],
    ["PATH", "/node:/bin:/usr/bin:/usr/sbin"],
    ...Object.entries(wanted.env ?? {}),
  ]);
  const fixed = { type: "fixed", ca: undefined as never } as const;
  const task: BuildTask = {
    drvPath: storePathFor(storeDirectory, `${name}-x.drv`),
    derivation: {
      directory: storeDirectory,
      name: "x",
      inputDerivations: new Map(),
      inputSources: [],
      system: "x86_64-linux",
      builder: wanted.builder ?? "/bin/sh",
      args: wanted.args ?? ["-c", wanted.script ?? ""],
      env,
      outputs: new Map([
        [
          "out",
          wanted.fixed === true
            ? fixed
            : { type: "floating", method: "recursive", hashType: "sha256" },
        ],
      ]),
    },
    env: builderEnvironment(env, { workDirectory: "/build", storeDirectory, cores: 1 }),
    workDirectory,
    outputs: new Map([["out", { logical, real }]]),
    inputs: (wanted.inputs ?? []) as StorePath[],
    realPathOf: (path) => join(realDirectory, path.slice(storeDirectory.length)),
    log: {
      write(chunk) {
        log += Buffer.from(chunk).toString("latin1");
        if (wanted.cancelAt !== undefined && log.includes(wanted.cancelAt)) stop();
      },
    },
    watch: ([place = ""]) => ({
      [Symbol.dispose]() {
        wasWatched = existsSync(place);
      },
    }),
    progress() {},
    systemDeps: [],
    ...(options.user && { user: options.user }),
  };
  const start = performance.now();
  const stop = (): void =>
    cancel.abort(new KilnError("build.cancelled", "cancelled", { kind: "internal" }));
  const timer = wanted.cancelAfter === undefined ? undefined : setTimeout(stop, wanted.cancelAfter);
  const ended = await executor.run(task, cancel.signal).then(
    (outcome) => ({ outcome }),
    (thrown: unknown) => {
      const { code, message } = KilnError.from(thrown);
      return { error: { code, message } };
    },
  );
  clearTimeout(timer);
  const durationMs = performance.now() - start;
  const left = processesOf(logical);
  const output = entryAt(real);
  const frozen = output && (await frozenAt(real));
  await removeTree(workDirectory);
  await removeTree(real);
  return { ...ended, log, durationMs, left: [...left, ...leftovers()], output, wasWatched, frozen };
}

function entryAt(path: string): Entry | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  const { mode, uid, gid } = stats;
  const common = { mode: mode & 0o7777, uid, gid };
  if (stats.isSymbolicLink()) return { ...common, type: "link", content: readlinkSync(path) };
  if (stats.isFile()) return { ...common, type: "file", content: readFileSync(path, "latin1") };
  if (stats.isDirectory()) return { ...common, type: "directory", content: readdirSync(path) };
  return { ...common, type: stats.isFIFO() ? "fifo" : "other", content: "" };
}

/** What becomes of an output when it is made an object. */
async function frozenAt(path: string): Promise<Entry | string | undefined> {
  try {
    const isRoot = process.getuid?.() === 0;
    await freeze(path, isRoot ? { owner: { uid: 0, gid: 0 } } : {});
    return entryAt(path);
  } catch (error) {
    return KilnError.from(error).code;
  }
}

/** Builders and what they started, which carry the path of the output in their environment, and what sets sandboxes up. */
function processesOf(output: string): string[] {
  return readdirSync("/proc").filter((pid) => {
    if (!/^\d+$/.test(pid) || isStarter(pid)) return false;
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, "latin1");
      return environment.includes(output) || environment.includes(`SLOT=${slotsDirectory}`);
    } catch {
      return false; // gone, or somebody else's
    }
  });
}

function isThere(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Names in a folder; none where another build that ends meanwhile takes it away. */
function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

/** What builds left in the private folders: mountpoints and what belongs to a slot do not count. */
function leftovers(): string[] {
  const slots = join(slotsDirectory, "slots");
  const inSlots = existsSync(slots) ? readdirSync(slots) : [];
  return [
    ...readdirSync(scratch),
    ...readdirSync(join(folder, "builds")),
    ...readdirSync(join(slotsDirectory, "trash")),
    ...inSlots.flatMap((slot) => [
      ...namesIn(join(slots, slot, "tmp")),
      ...namesIn(join(slots, slot, "store")).filter((name) => !isThere(join(realDirectory, name))),
      ...namesIn(join(slots, slot)).filter((name) => name === "left"),
    ]),
  ];
}
