/** How this server runs builders. */
import { existsSync, readdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { BuiltinExecutor } from "../build/builtin-executor.ts";
import { Executors, type Native } from "../build/executors.ts";
import { type BuildLimits, LimitedExecutor } from "../build/limited-executor.ts";
import { ProcessExecutor } from "../build/process-executor.ts";
import { SandboxExecutor } from "../build/sandbox-executor.ts";
import { endSandboxes } from "../build/sandbox/leftovers.ts";
import { type SandboxLimits, unheldLimits } from "../build/sandbox/limits.ts";
import { checkSandboxPaths, type SandboxPath } from "../build/sandbox/paths.ts";
import {
  describeSupport,
  type MissingSupport,
  probeSandbox,
  type WorkingSupport,
} from "../build/sandbox/support.ts";
import type { Store } from "../store/store.ts";
import { KilnError } from "../util/kiln-error.ts";
import { type Log, sandboxModeOf, type ServerOptions } from "./options.ts";

/**
 * Programs in sandboxes, or as plain processes, which see the machine as the server does; built-in builders in the server itself.
 * Whether there can be sandboxes is found out now, or, in mode `auto`, when the first program is to be run.
 *
 * @throws KilnError `sandbox.unavailable` when isolation is wanted and cannot be had; `sandbox.path`
 */
export async function openExecutors(
  store: Store,
  options: ServerOptions,
  log: Log,
): Promise<Executors> {
  const mode = sandboxModeOf(options);
  const limits = options.limits ?? {};
  const paths = checkSandboxPaths(options.sandboxPaths ?? new Map(), store.directory);
  const unlimited = unheldLimits(limits, {}, false);
  const plain = limited(plainExecutor(store), limits, unlimited);
  const unisolated = (why: string): Native => ({
    executor: plain,
    isolation: `none: ${why}${andLimits(unlimited.map((limit) => `${limit} by nothing here`))}`,
  });
  const without = (why: string): Native => {
    if (unlimited.length > 0) log("warn", "memory and processes are limited in sandboxes only");
    return unisolated(why);
  };
  const executors = new Executors({
    builtin: limited(new BuiltinExecutor(), limits),
    unisolated: mode === "relaxed" ? unisolated("__noChroot=1") : undefined,
    native: async () => {
      if (mode === "false") return without("--sandbox=false");
      const support = await probeSandbox({ directory: store.temporaryDirectory });
      if (support.available) {
        const sandbox = await sandboxExecutor(store, options, { support, paths, log });
        const { limitedBy, unheldLimits: unheld } = sandbox;
        if (limitedBy.length > 0)
          log(unheld.length > 0 ? "warn" : "info", `limits: ${limitedBy.join(", ")}`);
        return {
          executor: limited(sandbox, limits, unheld),
          isolation: describeSupport(support) + andLimits(limitedBy),
        };
      }
      if (mode !== "auto" || store.directory !== store.realDirectory) {
        throw unavailable(support, store);
      }
      const { reason } = support;
      log("warn", `builders are not isolated, they see this machine: ${reason} (kiln doctor)`);
      return without(reason);
    },
  });
  await endLeftSandboxes(slotsDirectoryOf(store));
  if (mode !== "auto") await executors.open();
  return executors;
}

function unavailable({ reason, hint }: MissingSupport, store: Store): KilnError {
  const isMapped = store.directory !== store.realDirectory;
  const only = isMapped ? `: only in sandboxes is the store at ${store.directory}` : "";
  return new KilnError("sandbox.unavailable", reason + only, { kind: "internal", hint });
}

function slotsDirectoryOf(store: Store): string {
  return join(store.realDirectory, ".kiln", "sandbox");
}

/** A predecessor that was killed leaves its slots, and sandboxes that are about to end: nobody may meet them. */
async function endLeftSandboxes(directory: string): Promise<void> {
  const slots = join(directory, "slots");
  if (existsSync(slots) && readdirSync(slots).length > 0)
    await endSandboxes(realpathSync(directory));
}

function plainExecutor(store: Store): ProcessExecutor {
  return new ProcessExecutor({
    storeDirectory: store.directory,
    realDirectory: store.realDirectory,
    temporaryDirectory: store.temporaryDirectory,
    claim: (paths) => store.claim(paths),
  });
}

async function sandboxExecutor(
  store: Store,
  { limits = {} }: ServerOptions,
  found: {
    readonly support: WorkingSupport;
    readonly paths: readonly SandboxPath[];
    readonly log: Log;
  },
): Promise<SandboxExecutor> {
  return await SandboxExecutor.open({
    ...found,
    storeDirectory: store.directory,
    realDirectory: store.realDirectory,
    slotsDirectory: slotsDirectoryOf(store),
    closureOf: (path) => store.closure([path]),
    limits,
  });
}

function limited<E extends BuiltinExecutor | ProcessExecutor | SandboxExecutor>(
  executor: E,
  limits: BuildLimits & SandboxLimits,
  unheld: readonly string[] = [],
): E | LimitedExecutor {
  return Object.keys(limits).length === 0
    ? executor
    : new LimitedExecutor(executor, limits, unheld);
}

/** What holds each limit, behind how builders are isolated. */
function andLimits(lines: readonly string[]): string {
  return lines.length === 0 ? "" : `; limits: ${lines.join(", ")}`;
}
