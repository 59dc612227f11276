/** How this server runs builders. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { BuiltinExecutor } from "../build/builtin-executor.ts";
import { Executors } from "../build/executors.ts";
import { type BuildLimits, LimitedExecutor } from "../build/limited-executor.ts";
import { ProcessExecutor } from "../build/process-executor.ts";
import { SandboxExecutor } from "../build/sandbox-executor.ts";
import type { SandboxLimits } from "../build/sandbox/limits.ts";
import { checkSandboxPaths, type SandboxPath } from "../build/sandbox/paths.ts";
import { describeSupport, probeSandbox, type WorkingSupport } from "../build/sandbox/support.ts";
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
  const plain = limited(plainExecutor(store), limits);
  const executors = new Executors({
    builtin: limited(new BuiltinExecutor(), limits),
    unisolated: mode === "relaxed" ? plain : undefined,
    native: async () => {
      if (mode === "false") return { executor: plain, isolation: "none: --sandbox=false" };
      const support = await probeSandbox({ directory: store.temporaryDirectory });
      if (support.available) {
        const sandbox = await sandboxExecutor(store, options, { support, paths, log });
        return { executor: limited(sandbox, limits), isolation: describeSupport(support) };
      }
      const { reason, hint } = support;
      if (mode !== "auto") {
        throw new KilnError("sandbox.unavailable", reason, { kind: "internal", hint });
      }
      if (store.directory !== store.realDirectory) {
        const message = `builders find the store at ${store.directory} in sandboxes only: ${reason}`;
        throw new KilnError("sandbox.unavailable", message, { kind: "internal", hint });
      }
      log("warn", `builders are not isolated, they see this machine: ${reason} (kiln doctor)`);
      return { executor: plain, isolation: `none: ${reason}` };
    },
  });
  if (mode !== "auto") await executors.open();
  return executors;
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
  const slotsDirectory = join(store.realDirectory, ".kiln", "sandbox");
  mkdirSync(slotsDirectory, { recursive: true, mode: 0o700 });
  return await SandboxExecutor.open({
    ...found,
    storeDirectory: store.directory,
    realDirectory: store.realDirectory,
    slotsDirectory,
    closureOf: (path) => store.closure([path]),
    limits,
  });
}

function limited<E extends BuiltinExecutor | ProcessExecutor | SandboxExecutor>(
  executor: E,
  limits: BuildLimits & SandboxLimits,
): E | LimitedExecutor {
  return Object.keys(limits).length === 0 ? executor : new LimitedExecutor(executor, limits);
}
