/** Who runs which derivation. */
import type { Derivation } from "../format/derivation/derivation.ts";
import type { Executor } from "./executor.ts";
import { builtinSystem } from "./system.ts";

type Closable = Executor & Partial<AsyncDisposable>;

/** What is found out about running programs, once. */
export interface Native {
  readonly executor: Closable;
  /** How programs are kept apart from this machine, for people: `none: why` when they are not. */
  readonly isolation: string;
}

export interface ExecutorsOptions {
  /** Finds out how programs are run here. */
  readonly native: () => Promise<Native>;
  /** Runs programs whose derivations ask for it with `__noChroot=1`; default: they are like all others. */
  readonly unisolated?: Native | undefined;
  /** Runs derivations whose system is `builtin`. */
  readonly builtin: Closable;
}

export class Executors implements AsyncDisposable {
  readonly #options: ExecutorsOptions;
  #opening: Promise<Native> | undefined;
  #native: Native | undefined;

  constructor(options: ExecutorsOptions) {
    this.#options = options;
  }

  /** These two, without finding anything out. */
  static of(native: Closable, builtin: Closable): Executors {
    const isolation = native.name === "process" ? "none" : native.name;
    return new Executors({
      native: () => Promise.resolve({ executor: native, isolation }),
      builtin,
    });
  }

  /** See {@link Native.isolation}; undefined before it was found out. */
  get isolation(): string | undefined {
    return this.#native?.isolation;
  }

  /** `none`, the name of what isolates, or `auto` before it was found out. */
  get sandbox(): string {
    const { isolation } = this;
    if (isolation === undefined) return "auto";
    return isolation.startsWith("none") ? "none" : "sandbox";
  }

  /** Finds out now what else the first derivation would: rejects with what stands in the way. */
  async open(): Promise<void> {
    await this.#found();
  }

  /** Programs are going to be run soon. What is wrong is said when they are. */
  warm(): void {
    void this.#found().then(
      ({ executor }) => executor.warm?.(),
      () => undefined,
    );
  }

  /** Who runs this derivation. Rejects as {@link open}. */
  async for(derivation: Derivation): Promise<Executor> {
    const { unisolated, builtin } = this.#options;
    if (derivation.system === builtinSystem) return builtin;
    if (unisolated !== undefined && derivation.env.get("__noChroot") === "1") {
      return unisolated.executor;
    }
    return (await this.#found()).executor;
  }

  /** How an executor that came from {@link for} keeps builders apart; undefined for built-in ones, which are a part of this process. */
  isolationOf(executor: Executor): string | undefined {
    const { unisolated, builtin } = this.#options;
    if (executor === builtin) return undefined;
    const native = executor === unisolated?.executor ? unisolated : this.#native;
    return native?.isolation;
  }

  async #found(): Promise<Native> {
    this.#opening ??= this.#options.native();
    this.#native ??= await this.#opening;
    return this.#native;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { unisolated, builtin } = this.#options;
    const native = await this.#opening?.catch(() => undefined);
    for (const executor of [native?.executor, unisolated?.executor, builtin]) {
      await executor?.[Symbol.asyncDispose]?.();
    }
  }
}
