/** One run of `kiln build`: evaluate, send what the store lacks, and do with the derivations what the flags say. */
import { dirname, join } from "node:path";
import type { WantedDerivation } from "../../author/evaluate.ts";
import { isDerivationPath, objectNameOf, type StorePath } from "../../format/store-path.ts";
import type { StoreClient } from "../../rpc/client.ts";
import type { Params } from "../../rpc/protocol.ts";
import { compareBytes } from "../../util/byte-string.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { locate, kilnOnly, open, type StoreConnection } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { ExitWith } from "../errors.ts";
import { exitCodeOfSignal, type Signal } from "../interrupts.ts";
import { limitsFrom } from "../limits.ts";
import { makeOutLinks, outLinks } from "../out-links.ts";
import { keepLinks } from "../commands/root.ts";
import { reuseWish } from "../reuse.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { list, shortID } from "../text.ts";
import { typedWith } from "../typed.ts";
import { findWanted, type Wanted } from "../wanted.ts";
import type { BuildFlags } from "../commands/build.ts";
import { checkDaemonFlags } from "./daemon-flags.ts";
import { sayDifferences } from "./differences.ts";
import { dryRun } from "./dry-run.ts";
import { type ShowOptions, ShownBuild } from "./shown-build.ts";

/** What came of the build files. */
export interface Evaluated {
  /** What they were made of: modules, and the files and folders that were named. */
  readonly files: readonly string[];
  /** What is wanted. */
  readonly drvPaths: readonly StorePath[];
}

/** What an interruption needs to know is kept here. */
export class Run {
  interruptedBy: Signal | undefined;
  readonly #evaluated: (found: Evaluated) => boolean;
  readonly #flags: BuildFlags & GlobalFlags;
  readonly #context: CommandContext;
  readonly #stop = new AbortController();
  #shown: ShownBuild | undefined;
  /** The build that is under way. */
  #build: { readonly id: string; readonly client: StoreClient } | undefined;

  /** `evaluated` is told what was found before anything is done with it, and says whether to go on; default: yes. */
  constructor(
    flags: BuildFlags & GlobalFlags,
    context: CommandContext,
    evaluated: (found: Evaluated) => boolean = () => true,
  ) {
    this.#flags = flags;
    this.#context = context;
    this.#evaluated = evaluated;
  }

  /** The first Ctrl-C: whatever is going on is given up in order. */
  interrupt(signal: Signal): void {
    this.interruptedBy = signal;
    this.#stop.abort(new ExitWith(exitCodeOfSignal(signal)));
    if (this.#build !== undefined) this.#cancel();
  }

  /** Gives the exit code. */
  async toEnd(operands: readonly string[]): Promise<number> {
    try {
      return await this.#run(operands);
    } catch (error) {
      if (this.interruptedBy === undefined) throw error;
      throw new ExitWith(exitCodeOfSignal(this.interruptedBy));
    } finally {
      this.#shown?.[Symbol.dispose]();
    }
  }

  async #run(operands: readonly string[]): Promise<number> {
    const flags = this.#flags;
    const settings = settingsFrom(flags, this.#context.env);
    const { jobs, sandbox } = flags;
    const limits = limitsFrom(flags, flags.configuration?.limits);
    const wishes = { create: true, jobs, sandbox, limits, daemonOnly: flags.detach === true };
    const located = await locate(settings, this.#context, wishes);
    await using _daemon = located.daemon ?? nothing;
    const signal = this.#stop.signal;
    // The evaluation is another process: meanwhile this one loads what it needs to open a store.
    if (located.daemon === undefined) import("../embedded.ts").catch(() => {});
    await using wanted = await findWanted(operands, flags, located.settings, {
      note: this.#context.note,
      signal,
    });
    if (wanted.derivations.length === 0) {
      throw new KilnError("target.none", "there is nothing to build", { hint: "kiln targets" });
    }
    const targets = unique(wanted.derivations).map(({ name, drvPath }) => ({ name, drvPath }));
    const drvPaths = targets.map(({ drvPath }) => drvPath);
    const files = wanted.evaluations.flatMap(({ modules, filesRead }) => [
      ...modules,
      ...filesRead,
    ]);
    if (!this.#evaluated({ files, drvPaths })) return 0;
    signal.throwIfAborted();
    await using connection = await open(located, this.#context, { ...wishes, signal });
    checkDaemonFlags(flags, connection, {
      socket: located.settings.socket,
      context: this.#context,
    });
    await wanted.send(connection);
    signal.throwIfAborted();
    const reuse = reuseWish(settings, flags.clean);
    if (flags.dryRun === true) {
      await dryRun(
        { connection, targets: unique(wanted.derivations), reuse },
        flags,
        this.#context,
      );
      return 0;
    }
    const { keepFailed = false, keepGoing = true } = flags;
    const request = { drvPath: drvPaths, targets, keepFailed, keepGoing, reuse };
    if (flags.detach === true) return await this.#detach(request, connection);
    const retry = (): string | undefined =>
      keepFailed || flags.check === true
        ? undefined
        : typedWith(this.#context.program, this.#context.typed, "--keep-failed");
    if (flags.check === true) return await this.#check(request, { connection, wanted });
    const { shown, buildID } = await this.#realize(request, { connection, retry });
    await this.#printPaths(wanted.derivations, buildID, connection);
    return this.#exitCode(shown);
  }

  /** Has it built, and shows that. */
  async #realize(
    request: Params<"zb.realize">,
    how: Omit<ShowOptions, "why"> & { readonly connection: StoreConnection },
  ): Promise<{ readonly shown: ShownBuild; readonly buildID: string }> {
    const { connection, ...options } = how;
    const { client } = connection;
    const { why = false } = this.#flags;
    const shown = await ShownBuild.open(this.#flags, connection, this.#context, {
      why,
      ...options,
    });
    this.#shown = shown;
    const { buildID } = await client.call("zb.realize", request);
    this.#build = { id: buildID, client };
    if (this.interruptedBy !== undefined) this.#cancel(); // it came while the answer was on its way
    const { targets = [] } = request;
    await shown.follow({ id: buildID, targets, storeDir: dirname(targets[0]?.drvPath ?? "") });
    this.#build = undefined;
    await shown.writeTrace();
    if (shown.view.state === "interrupted") {
      // It can be asked nothing more.
      throw new KilnError(
        "socket.interrupted",
        `the daemon ended during build ${shortID(buildID)}`,
        {
          hint: "build again: what was built before is kept",
        },
      );
    }
    return { shown, buildID };
  }

  /** Makes sure that all is there, then builds the targets again and says what came out different. */
  async #check(
    request: Params<"zb.realize">,
    { connection, wanted }: { readonly connection: StoreConnection; readonly wanted: Wanted },
  ): Promise<number> {
    kilnOnly(connection, "check a build");
    const drvPath = [...request.drvPath];
    // Also what the targets are made of: a collection may have taken it.
    for (const path of request.drvPath) {
      const { info } = await connection.client.call("zb.info", { path });
      drvPath.push(...(info?.references ?? []).filter(isDerivationPath));
    }
    const all = { ...request, drvPath: [...new Set(drvPath)] };
    const first = await this.#realize(all, { connection, silentReuse: true });
    if (first.shown.succeeded && this.interruptedBy === undefined) {
      const { shown } = await this.#realize({ ...request, check: true }, { connection });
      if (this.#flags.json !== true) await sayDifferences(shown, first.shown.view, connection);
      if (!shown.succeeded) return this.#exitCode(shown);
    }
    await this.#printPaths(wanted.derivations, first.buildID, connection);
    return this.#exitCode(first.shown);
  }

  #exitCode({ succeeded }: ShownBuild): number {
    if (this.interruptedBy !== undefined) return exitCodeOfSignal(this.interruptedBy);
    return succeeded ? 0 : 1;
  }

  /** Leaves the build to the daemon. */
  async #detach(request: Params<"zb.realize">, connection: StoreConnection): Promise<number> {
    kilnOnly(connection, "be asked for a build later");
    const { buildID } = await connection.client.call("zb.realize", request);
    say(this.#flags.json === true ? JSON.stringify({ buildID }) : buildID);
    const names = list((request.targets ?? []).map(({ name }) => name));
    const watch = this.#context.kiln(`attach ${shortID(buildID)}`);
    this.#context.note(`the daemon builds ${names}; to watch: ${watch}`);
    return 0;
  }

  #cancel(): void {
    const { id, client } = this.#build ?? {};
    if (id === undefined || client === undefined) return;
    client.notify("zb.cancelBuild", { buildID: id });
    const again = this.interruptedBy === "SIGINT" ? " (Ctrl-C again: leave now)" : "";
    this.#shown?.note(`cancelling ${shortID(id)}${again}`);
  }

  /** Every output that there is, in the order in which it was asked for; then links to them. */
  async #printPaths(
    derivations: readonly WantedDerivation[],
    buildID: string,
    connection: StoreConnection,
  ): Promise<void> {
    const { client, hello } = connection;
    const found: { readonly output: string; readonly path: StorePath }[][] = [];
    for (const { drvPath, output } of derivations) {
      const { outputs } = await client.call("zb.getBuildResult", { buildID, drvPath });
      const there = outputs.flatMap(({ name, path }) =>
        path !== null && (output === undefined || name === output) ? [{ output: name, path }] : [],
      );
      found.push(there.toSorted((a, b) => compareBytes(a.output, b.output)));
    }
    if (this.#flags.json !== true) for (const { path } of found.flat()) say(path);
    if (this.#flags.outLink === undefined) return;
    // Links lead to where the objects are on this machine, whatever they are called.
    const real = hello?.realStoreDirectory;
    const linked = found.map((outputs) =>
      outputs.map(({ output, path }) => ({
        output,
        path: real === undefined ? path : join(real, objectNameOf(path)),
      })),
    );
    makeOutLinks(this.#flags.outLink, linked);
    const links = outLinks(this.#flags.outLink, linked);
    // What they are called follows from the outputs: `result-dev`, `result-2`.
    for (const { link, path } of links) this.#context.note(`${link} -> ${path}`);
    await keepLinks(
      connection,
      links.map(({ link }) => link),
      this.#context,
    );
  }
}

const nothing: AsyncDisposable = { [Symbol.asyncDispose]: () => Promise.resolve() };

function unique(derivations: readonly WantedDerivation[]): WantedDerivation[] {
  return [...new Map(derivations.map((derivation) => [derivation.drvPath, derivation])).values()];
}
