/**
 * Runs the builders that are part of Kiln: derivations whose system is `builtin`.
 *
 * They run in the daemon, as its user and with its network, so each is as careful with what it is given as a sandbox would be.
 */
import { stringToBytes } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { Builtin } from "./builtins/builtin.ts";
import type { ExtractLimits } from "./builtins/extract/limits.ts";
import type { FetchOptions } from "./builtins/fetch-url.ts";
import type { BuildOutcome, BuildTask, Executor } from "./executor.ts";

export interface BuiltinExecutorOptions {
  /** Proxies, search path and certificates come from here; default: the environment of this process. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  readonly fetch?: Partial<FetchOptions>;
  readonly extract?: Partial<ExtractLimits>;
}

export class BuiltinExecutor implements Executor {
  readonly name = "builtin";
  readonly #environment: Readonly<Record<string, string | undefined>>;
  readonly #builtins: ReadonlyMap<string, Builtin>;

  constructor(options: BuiltinExecutorOptions = {}) {
    this.#environment = options.environment ?? process.env;
    // Loaded when they are needed: an HTTP client and unpackers are half of a daemon's code.
    this.#builtins = new Map<string, Builtin>([
      [
        "builtin:fetchurl",
        async (task, context) => {
          const { fetchURL } = await import("./builtins/fetch-url.ts");
          await fetchURL(task, context, options.fetch);
        },
      ],
      [
        "builtin:extract",
        async (task, context) => {
          const { extract } = await import("./builtins/extract/archive.ts");
          await extract(task, context, options.extract);
        },
      ],
    ]);
  }

  async run(task: BuildTask, signal: AbortSignal): Promise<BuildOutcome> {
    signal.throwIfAborted();
    const { builder } = task.derivation;
    const builtin = this.#builtins.get(builder);
    if (builtin === undefined) {
      const message = `builtin ${JSON.stringify(builder)} not found`;
      return { type: "failed", code: "builtin.unknown", message };
    }
    try {
      await builtin(task, { environment: this.#environment, signal });
      return { type: "exited", code: 0 };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof KilnError) || error.kind === "internal") {
        throw KilnError.from(error, "builtin.internal");
      }
      // One line, whatever a server or an archive put into it.
      const message = `${builder}: ${error.message.replaceAll(/[\r\n]+/g, " ")}`;
      task.log.write(stringToBytes(`${message}\n`));
      return { type: "failed", code: error.code, message };
    }
  }
}
