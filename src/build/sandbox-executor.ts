/**
 * Builders in sandboxes: each sees its inputs, its build directory and what every sandbox has, and nothing else of this machine.
 *
 * How that is done is in `sandbox/`: `support.ts` finds out what works here, `slot.ts` is a place where a sandbox is put together,
 * `layout.ts` and `mounts.ts` say what is in it, `start.ts`, `init.pl`, `init.sh` and `launcher.ts` make and end it.
 */
import { chownSync, existsSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { makeFolders } from "../files/make-folders.ts";
import type { Derivation } from "../format/derivation/derivation.ts";
import { objectNameOf, type StoreDirectory, type StorePath } from "../format/store-path.ts";
import type { BuildOutcome, BuildTask, Executor } from "./executor.ts";
import { FifoPool } from "./fifo-pool.ts";
import { isElf } from "./program-format.ts";
import { type Assembly, assemble } from "./sandbox/assembly.ts";
import { hostFileOf } from "./sandbox/builder-file.ts";
import { faultOf, refusalOf, unsettable } from "./sandbox/command.ts";
import {
  BuildGroup,
  findHierarchies,
  groupPrefix,
  type Hierarchies,
  sweepGroups,
} from "./sandbox/control-groups.ts";
import { idsFor } from "./sandbox/identity.ts";
import { type Ended, launch, type Refusal } from "./sandbox/launcher.ts";
import type { ResolvedPath } from "./sandbox/layout.ts";
import { endSandboxes, unmountBelow } from "./sandbox/leftovers.ts";
import {
  describeLimits,
  unheldLimits,
  limitBehind,
  processLimits,
  type SandboxLimits,
} from "./sandbox/limits.ts";
import { certificateFile, openNetwork, withProxy } from "./sandbox/network.ts";
import {
  isBelow,
  namedPaths,
  objectBehind,
  outermost,
  resolvePath,
  type SandboxPath,
} from "./sandbox/paths.ts";
import { librariesOf } from "./sandbox/program-files.ts";
import type { Policy } from "./sandbox/proxy.ts";
import {
  lostLink,
  withHiddenBuilder,
  withMissingInterpreter,
  withRemedy,
} from "./sandbox/remedies.ts";
import type { Slot } from "./sandbox/slot.ts";
import type { Starter } from "./starter.ts";
import { SlotPool } from "./sandbox/slots.ts";
import { type Launch, starterFor } from "./sandbox/start.ts";
import type { WorkingSupport } from "./sandbox/support.ts";

/** How much of the end of a log is looked at for what may have been missing, in bytes. */
const maxSaid = 4096;

export interface SandboxExecutorOptions {
  /** What `probeSandbox` found. */
  readonly support: WorkingSupport;
  readonly storeDirectory: StoreDirectory;
  /** Where the objects lie on this machine. */
  readonly realDirectory: string;
  /** A folder of this daemon's own, on the file system and mount of the store. It is made if it is missing. */
  readonly slotsDirectory: string;
  /** As `checkSandboxPaths` has them. */
  readonly paths?: readonly SandboxPath[];
  /** All objects a store object needs, itself included: for sandbox paths that come from the store. */
  readonly closureOf?: (path: StorePath) => Iterable<StorePath>;
  readonly limits?: SandboxLimits;
  /** Where builders with a network may connect to; default: anywhere but this machine. */
  readonly network?: Policy;
  /** Milliseconds between SIGTERM and SIGKILL when a build is cancelled; default 5,000. */
  readonly grace?: number;
  readonly log?: (level: "info" | "warn", text: string) => void;
}

export class SandboxExecutor implements Executor, AsyncDisposable {
  readonly name = "sandbox";
  readonly workDirectoryInside = "/build";
  readonly #options: SandboxExecutorOptions;
  readonly #slots: SlotPool;
  readonly #fifos: FifoPool;
  /** Looked for only where there are limits: it may move this process to another group. */
  readonly #hierarchies: Hierarchies;
  readonly #libraries: Libraries;
  readonly #starter: Starter | undefined;

  private constructor(options: SandboxExecutorOptions, libraries: Libraries) {
    this.#options = options;
    this.#libraries = libraries;
    const { memory, processes } = options.limits ?? {};
    const isLimited = memory !== undefined || processes !== undefined;
    this.#hierarchies = isLimited ? findHierarchies() : {};
    sweepGroups(this.#hierarchies);
    this.#slots = new SlotPool(options.slotsDirectory, (text) => options.log?.("warn", text));
    this.#fifos = new FifoPool(options.slotsDirectory);
    this.#starter = starterFor(options.support, options.slotsDirectory);
  }

  /**
   * Clears away what a predecessor left in the slots directory: processes at once, files in the background.
   *
   * @throws KilnError `sandbox.path` when a sandbox path is missing
   */
  static async open(options: SandboxExecutorOptions): Promise<SandboxExecutor> {
    makeFolders(options.slotsDirectory, 0o700);
    // Mounting follows no links.
    const slotsDirectory = realpathSync(options.slotsDirectory);
    await endSandboxes(slotsDirectory);
    unmountBelow(slotsDirectory, options.support.tools.umount);
    const libraries = await findLibraries(options.paths ?? [], options.storeDirectory);
    return new SandboxExecutor({ ...options, slotsDirectory }, libraries);
  }

  /** What enforces limits that no executor alone can: `memory by control group v2`. Empty without such limits. */
  get limitedBy(): readonly string[] {
    const { limits = {}, support } = this.#options;
    const isWanted = { memory: limits.memory, processes: limits.processes };
    return describeLimits(this.#hierarchies, support.tools.prlimit !== undefined).filter((line) =>
      Object.entries(isWanted).some(
        ([name, limit]) => limit !== undefined && line.startsWith(name),
      ),
    );
  }

  /** Limits that were asked for and that nothing enforces. */
  get unheldLimits(): readonly string[] {
    const { limits = {}, support } = this.#options;
    return unheldLimits(limits, this.#hierarchies, support.tools.prlimit !== undefined);
  }

  warm(): void {
    this.#starter?.warm();
  }

  async run(task: BuildTask, signal: AbortSignal): Promise<BuildOutcome> {
    signal.throwIfAborted();
    const { builder, args } = task.derivation;
    const network = wantsNetwork(task.derivation);
    const command = { builder, args, env: network ? withProxy(task.env) : task.env };
    const fault = faultOf(command);
    if (fault !== undefined) return notStarted(builder, fault);
    await using held = await this.#slots.take();
    const { slot } = held;
    const { support } = this.#options;
    const ids = idsFor(support, task.user, slot.number);
    if (support.mode === "root") chownSync(task.workDirectory, ids.outside.uid, ids.outside.gid);
    const { storeDirectory, realDirectory } = this.#options;
    const visible = this.#visible(task, network);
    const mounts = await assemble(slot, {
      storeDirectory,
      realDirectory,
      network,
      identity: ids.inside,
      ...visible,
      workDirectory: task.workDirectory,
    });
    const store = { inside: storeDirectory, type: "directory", source: realDirectory } as const;
    const shown = [store, ...visible.paths];
    const file = hostFileOf(builder, shown);
    const isProgram = file !== undefined && isElf(file);
    const start = {
      ...ids.outside,
      mounts,
      command,
      network,
      isProgram,
      variables: unsettable(command),
    };
    let said = "";
    const log = (chunk: Uint8Array): void => {
      task.log.write(chunk);
      said = (said + Buffer.from(chunk.subarray(-maxSaid)).toString("latin1")).slice(-maxSaid);
    };
    const ended = await this.#launch(slot, { ...task, log: { write: log } }, start, signal);
    const offered = this.#options.paths;
    if (ended.type === "notStarted") {
      const outcome = notStarted(builder, refusals[ended.reason] ?? refusalOf(command));
      if (ended.reason !== "missing") return outcome;
      const remedy = lostLink(builder, { shown, offered });
      if (remedy !== undefined) return { ...outcome, remedy };
      return file === undefined
        ? withHiddenBuilder(outcome, builder, offered)
        : withMissingInterpreter(outcome, file, { shown, offered });
    }
    if (ended.type === "exited" && ended.code === 0) {
      for (const { logical, real } of task.outputs.values())
        slot.moveOut(objectNameOf(logical), real);
    }
    return withRemedy(ended, task, { shown, offered, said, network });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#starter?.[Symbol.asyncDispose]();
    await this.#fifos[Symbol.asyncDispose]();
    await this.#slots[Symbol.asyncDispose]();
  }

  async #launch(
    slot: Slot,
    task: BuildTask,
    start: Pick<Launch, "uid" | "gid" | "mounts" | "command" | "isProgram" | "variables"> & {
      readonly network: boolean;
    },
    signal: AbortSignal,
  ): Promise<Ended> {
    const { support, grace = 5000, limits = {} } = this.#options;
    const names = Array.from(task.outputs.values(), ({ logical }) => objectNameOf(logical));
    using _watch = task.watch?.(names.map((name) => join(slot.store, name)));
    const name = `${groupPrefix}${process.pid}-${slot.number}`;
    await using group = BuildGroup.make(name, limits, this.#hierarchies);
    await using opened = new AsyncDisposableStack();
    const logFault = new AbortController();
    const stop = AbortSignal.any([signal, logFault.signal]);
    using fifo = await this.#fifos.take((chunk) => {
      if (logFault.signal.aborted) return;
      try {
        task.log.write(chunk);
      } catch (error) {
        logFault.abort(error);
      }
    });
    const ended = await launch(
      {
        ...support,
        ...start,
        directory: slot.directory,
        output: fifo,
        onStarted: () => fifo.closeWriteEnd(),
        starter: this.#starter,
        cgroups: group.doors,
        resourceLimits: processLimits(limits, this.#hierarchies),
        network: start.network
          ? async (pid) => void opened.use(await this.#network(pid, task.drvPath))
          : undefined,
        grace,
      },
      stop,
    );
    task.onEnd?.();
    // Nothing of the builder lives any more; only through an offered socket can somebody outside have its output open.
    await fifo.endsWithin(2000);
    stop.throwIfAborted();
    const reached = limitBehind(ended, group.hit(), limits);
    if (reached !== undefined) throw reached;
    return ended;
  }

  #network(pid: number, drvPath: StorePath): Promise<AsyncDisposable> {
    const { support, network, log } = this.#options;
    const { mode, tools } = support;
    const onHost = (host: string, port: number): void =>
      log?.("info", `${drvPath} wants to reach ${host}, port ${port}`);
    const policy: Policy = { environment: process.env, onHost, ...network };
    return openNetwork(pid, { mode, nsenter: tools.nsenter, policy });
  }

  /** What the builder gets to see of the store and of the host. */
  #visible(task: BuildTask, network: boolean): Pick<Assembly, "objects" | "paths"> {
    const { storeDirectory, realDirectory, closureOf } = this.#options;
    const objects = new Set(task.inputs.map(objectNameOf));
    const paths = new Map<string, ResolvedPath>();
    const add = (path: ResolvedPath): unknown => paths.set(path.inside, path);
    const named = namedPaths(this.#options.paths ?? [], task.systemDeps);
    const chosen = outermost(named);
    for (const path of chosen) {
      const object = objectBehind(path, storeDirectory);
      if (object !== undefined) {
        for (const needed of closureOf?.(object.path) ?? [object.path]) {
          objects.add(objectNameOf(needed));
        }
      }
      if (isBelow(path.inside, storeDirectory)) continue;
      if (object === undefined) {
        add(leadSomewhere(resolvePath(path), chosen));
      } else {
        add(resolvePath(path, join(realDirectory, objectNameOf(object.path), object.sub)));
      }
    }
    // Those of a program are needed where a folder that has it is named, too.
    for (const { inside } of named) {
      this.#libraries.get(inside)?.filter(apartFrom(chosen)).forEach(add);
    }
    const seen = [...paths.values()];
    return { objects, paths: network ? [...seen, ...networkFiles(seen)] : seen };
  }
}

/** What programs among the sandbox paths need beside them, by the path inside. */
type Libraries = ReadonlyMap<string, readonly ResolvedPath[]>;

/** A program of the host that is offered alone, as in `--sandbox-path=/bin/sh`, is offered with its libraries. */
async function findLibraries(
  paths: readonly SandboxPath[],
  storeDirectory: StoreDirectory,
): Promise<Libraries> {
  const found = new Map<string, ResolvedPath[]>();
  for (const path of paths) {
    if (objectBehind(path, storeDirectory) !== undefined) continue;
    resolvePath(path);
    const libraries = await librariesOf(path.source);
    found.set(
      path.inside,
      libraries.map((inside) => ({ inside, type: "file", source: realpathSync(inside) })),
    );
  }
  return found;
}

/** What lies in one of the chosen paths is there with it. */
function apartFrom(chosen: readonly SandboxPath[]): (path: { readonly inside: string }) => boolean {
  return ({ inside }) =>
    !chosen.some((path) => path.inside === inside || isBelow(inside, path.inside));
}

/** A link stays a link where what it leads to is offered, too; else the builder gets what it leads to on the host. */
function leadSomewhere(path: ResolvedPath, chosen: readonly SandboxPath[]): ResolvedPath {
  if (path.type !== "link" || !apartFrom(chosen)({ inside: path.target })) return path;
  const source = existsSync(path.target) ? realpathSync(path.target) : undefined;
  if (source === undefined) return path;
  return resolvePath({ inside: path.inside, source, alwaysPresent: false });
}

/** As in zb: whose output is known beforehand, and who says so. */
function wantsNetwork({ outputs, env }: Derivation): boolean {
  return outputs.get("out")?.type === "fixed" || env.get("__network") === "1";
}

/** Files of the host that programs need to use a network, but for those that the operator has chosen. */
function networkFiles(chosen: readonly ResolvedPath[]): ResolvedPath[] {
  const wanted = {
    "/etc/services": existsSync("/etc/services") ? "/etc/services" : undefined,
    "/etc/ssl/certs/ca-certificates.crt": certificateFile(process.env),
  };
  return Object.entries(wanted).flatMap(([inside, source]) => {
    const isTaken = chosen.some((path) => path.inside === inside || isBelow(inside, path.inside));
    if (source === undefined || isTaken) return [];
    return { inside, type: "file" as const, source: realpathSync(source) };
  });
}

/** In the words of the kernel's errors as Go prints them. */
const refusals: Partial<Record<Refusal, string>> = {
  missing: "no such file or directory",
  forbidden: "permission denied",
};

function notStarted(
  builder: string,
  reason: string,
): Extract<BuildOutcome, { type: "notStarted" }> {
  return { type: "notStarted", message: `fork/exec ${builder}: ${reason}` };
}
