/**
 * One derivation of a build, from its inputs to its outputs:
 *
 *     lock ─ reuse? ─ check ─ prepare ─ wait for a place ─ run ─ register ─ record
 *
 * Whatever goes wrong ends up in the result; nothing is thrown.
 */
import { lstatSync } from "node:fs";
import type { Derivation } from "../format/derivation/derivation.ts";
import { expandDerivation } from "../format/derivation/placeholders.ts";
import type { Hash } from "../format/hash.ts";
import type { ObjectInfo } from "../format/object-info.ts";
import type { StorePath } from "../format/store-path.ts";
import { type EquivalenceClass, equivalenceClass } from "../store/database/realizations.ts";
import { signRealization } from "../store/realization-signatures.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { Build } from "./build.ts";
import { BuildDirectory } from "./build-directory.ts";
import { logPath } from "./build-log.ts";
import { logEnd } from "./log-end.ts";
import { isShort } from "./lookahead.ts";
import { realizationsOf } from "./choices.ts";
import { chooseRealizations } from "./choose-realization.ts";
import { rememberedHash } from "./derivation-hash.ts";
import { type Infos, outputsOf } from "./early-outputs.ts";
import { builderEnvironment } from "./environment.ts";
import type { BuildOutput, BuildTask, BuildUser, Executor } from "./executor.ts";
import { outputPaths, replacementsFor, temporaryPaths } from "./expansion.ts";
import {
  differentOutput,
  missingOutput,
  type Shortfall,
  shortfallOf,
  shortfallOfError,
} from "./failure.ts";
import { OutputPlaces } from "./outputs/places.ts";
import { registerOutputs } from "./outputs/register.ts";
import { watchOutputs } from "./outputs/watch.ts";
import { fixedOutput, type Outputs, type PlannedDerivation } from "./plan.ts";
import { ReadingTime } from "./reading-time.ts";
import { checkRequirements, systemDepsOf } from "./requirements.ts";
import type { Result } from "./result.ts";
import type { Ended } from "./scheduler.ts";
import { builtinSystem } from "./system.ts";
import { Turn } from "./turn.ts";
import type { Workshop } from "./workshop.ts";

/** Reuses or builds one derivation whose inputs are there. `onPlaced` is told of its outputs if they can be used before it has ended. */
export function carryOut(
  planned: PlannedDerivation,
  build: Build,
  shop: Workshop,
  onPlaced: (infos: Infos) => void,
): Promise<Ended> {
  return new Job(planned, build, shop, onPlaced).run();
}

/** Thrown within a job to end it with this. */
class Refusal extends Error {
  readonly shortfall: Shortfall;

  constructor(shortfall: Shortfall) {
    super(shortfall.failure.message);
    this.shortfall = shortfall;
  }
}

class Job {
  readonly #planned: PlannedDerivation;
  readonly #build: Build;
  readonly #shop: Workshop;
  readonly #drvPath: StorePath;
  readonly #derivation: Derivation;
  readonly #result: Result;
  readonly #signal: AbortSignal;
  readonly #onPlaced: (infos: Infos) => void;
  /** Where the build directory was left to look at. */
  #keptAt: string | undefined;
  #recordedAt = 0;
  /** Who is to run its builder, and as whom, once that is known. */
  #executor: Executor | undefined;
  #user: BuildUser | undefined;

  constructor(
    planned: PlannedDerivation,
    build: Build,
    shop: Workshop,
    onPlaced: (infos: Infos) => void,
  ) {
    this.#planned = planned;
    this.#onPlaced = onPlaced;
    this.#build = build;
    this.#shop = shop;
    this.#drvPath = planned.node.drvPath;
    this.#derivation = planned.node.derivation;
    this.#result = build.result(planned);
    this.#signal = build.signal;
  }

  async run(): Promise<Ended> {
    try {
      const drvHash = rememberedHash(this.#derivation, (input, output) =>
        this.#build.choices.outputOf(input, output),
      );
      this.#result.drvHash = drvHash;
      using _locks = this.#lockNow(drvHash) ?? (await this.#lock(drvHash));
      if (this.#needsSettledInputs(drvHash)) await this.#settleInputs();
      const reused = this.#planned.isCheck ? undefined : this.#reuse(drvHash);
      return reused ?? (await this.#make(drvHash));
    } catch (thrown) {
      // An input that got lost explains whatever went wrong.
      const error = await this.#settleInputs().then(
        () => thrown,
        (lost: unknown) => lost,
      );
      const isBegun = this.#result.state !== "waiting";
      if (!isBegun && (this.#signal.aborted || this.#build.hasStopped)) {
        this.#build.skip(this.#result);
        return "failed";
      }
      await this.#fail(
        error instanceof Refusal ? error.shortfall : shortfallOfError(error, this.#drvPath),
      );
      return "failed";
    }
  }

  /**
   * One builder at a time for a derivation, whose temporary paths are always the same; and one for all derivations that are the same
   * in the end, so that a build gets one thing from them.
   */
  async #lock(drvHash: Hash): Promise<Disposable> {
    const { derivationLocks } = this.#shop;
    using held = new DisposableStack();
    held.use(await derivationLocks.lock(this.#drvPath, this.#signal));
    held.use(await derivationLocks.lock(drvHash.base16(), this.#signal));
    return held.move();
  }

  /** As {@link #lock}, if nobody has them: then this one goes on before anybody else does something. */
  #lockNow(drvHash: Hash): Disposable | undefined {
    this.#signal.throwIfAborted();
    return this.#shop.derivationLocks.tryLock([this.#drvPath, drvHash.base16()]);
  }

  /** What was made of it before can only be judged when all is known of its inputs. */
  #needsSettledInputs(drvHash: Hash): boolean {
    const { inputDerivations } = this.#derivation;
    if (!this.#build.choices.early.areAmong(inputDerivations.keys())) return false;
    if (fixedOutput(this.#derivation) !== undefined) return true;
    const { snapshot } = this.#build;
    return this.#classes(drvHash).some((one) => snapshot.candidates(one).length > 0);
  }

  /** Waits for inputs that were used early to be objects. */
  async #settleInputs(): Promise<void> {
    await this.#build.choices.early.settled(this.#derivation.inputDerivations.keys());
  }

  /** What is there already, be it that another build made it while this one waited. */
  #reuse(drvHash: Hash): Ended | undefined {
    const { node } = this.#planned;
    const { snapshot, choices } = this.#build;
    const { chosen, made } = choices;
    const fixed = fixedOutput(this.#derivation);
    if (fixed !== undefined) {
      if (!snapshot.isPresent(fixed)) return undefined;
      return this.#build.reused(this.#result, drvHash, new Map([["out", fixed]]));
    }
    const classes = node.outputs.map((output) => equivalenceClass(drvHash, output));
    const choice = chooseRealizations(classes, { chosen, made, snapshot });
    if (choice.type !== "found" || this.#rests(choice.adopted, classes)) return undefined;
    const outputs = new Map<string, StorePath>();
    for (const [i, output] of node.outputs.entries()) {
      const equivalence = classes[i];
      const path = equivalence && (choice.adopted.get(equivalence) ?? chosen.get(equivalence));
      if (path !== null && path !== undefined) outputs.set(output, path);
    }
    return this.#build.reused(this.#result, drvHash, outputs);
  }

  /** Whether what is adopted for `classes` has something in its closure that this build is going to make. */
  #rests(
    adopted: ReadonlyMap<EquivalenceClass, StorePath>,
    classes: readonly EquivalenceClass[],
  ): boolean {
    const { expected, choices } = this.#build;
    return [...adopted.keys()].some(
      (one) => expected.has(one) && !choices.chosen.has(one) && !classes.includes(one),
    );
  }

  async #make(drvHash: Hash): Promise<Ended> {
    using _work = this.#build.choices.beginWork(this.#classes(drvHash));
    const { preparations } = this.#shop.lookahead;
    using preparation =
      preparations.acquireNow() ?? (await preparations.acquire(this.#signal, this.#names));
    const isBuiltin = this.#derivation.system === builtinSystem;
    using held = isBuiltin ? undefined : await this.#shop.users.acquire(this.#signal);
    const fixed = fixedOutput(this.#derivation);
    // Held to the end: nobody else may put anything at the path where the builder works.
    using lock = fixed === undefined ? undefined : await this.#shop.store.lock(fixed, this.#signal);
    const reused = fixed === undefined || this.#planned.isCheck ? undefined : this.#reuse(drvHash);
    if (reused !== undefined) return reused;
    const executor = await this.#shop.executors.for(this.#derivation);
    this.#mayBegin();
    this.#executor = executor;
    this.#user = held?.user;
    const placeholders = replacementsFor(
      this.#derivation,
      this.#build.choices,
      outputPaths(this.#drvPath, this.#derivation),
    );
    checkRequirements(this.#derivation, [...placeholders.keys()], this.#shop);
    const inputs = this.#inputs();
    using _kept = this.#shop.store.protect(inputs);
    const user = held?.user;
    const infos = await this.#runBuilder(executor, inputs, { user, preparation, lock, drvHash });
    const outputs = outputsOf(infos);
    if (this.#planned.isCheck) return this.#compare(outputs);
    this.#build.built(this.#result, { drvHash, outputs, endedAt: this.#recordedAt });
    return { outputs };
  }

  /** Whether what was made again is what is there. */
  #compare(outputs: Outputs): Ended {
    const { outputs: known = outputs } = this.#planned;
    const difference = differentOutput(known, outputs);
    if (difference !== undefined) {
      this.#result.setOutputs(outputs);
      throw new Refusal(difference);
    }
    this.#build.checked(this.#result, outputs);
    return { outputs: known };
  }

  /** Closure of all inputs. */
  #inputs(): StorePath[] {
    const { inputSources, inputDerivations } = this.#derivation;
    const { early } = this.#build.choices;
    const paths = [...inputSources, ...this.#inputOutputs()];
    return early.closure(this.#shop.store, paths, inputDerivations.keys());
  }

  /** The outputs of input derivations that this one uses. */
  #inputOutputs(): StorePath[] {
    return [...this.#derivation.inputDerivations].flatMap(([input, outputs]) =>
      outputs.flatMap((output) => this.#build.choices.outputOf(input, output) ?? []),
    );
  }

  /** Runs the builder and makes objects of what it leaves. */
  async #runBuilder(
    executor: Executor,
    inputs: readonly StorePath[],
    held: {
      readonly user: BuildUser | undefined;
      readonly preparation: Disposable;
      readonly lock: Disposable | undefined;
      readonly drvHash: Hash;
    },
  ): Promise<ReadonlyMap<string, ObjectInfo>> {
    const { store } = this.#shop;
    const places = new OutputPlaces(store.temporaryDirectory);
    await using _places = this.#removedAtTheEnd(places);
    const directory = new BuildDirectory(this.#build.workDirectories.of(this.#result), held.user);
    await using _directory = this.#removedAtTheEnd(directory);
    const paths = this.#outputPaths();
    const outputs = places.forOutputs(paths);
    // Whatever the executor: what becomes of them is foretold by the time that its builder has ended.
    store.announce([...paths.values()]);
    // Another builder runs while this one's outputs are read and brought to disk.
    using turn = new Turn(this.#shop.registrations, held.preparation);
    const onBegin = (): void => this.#begin(executor, held.user);
    const task = this.#task(executor, { inputs, outputs, directory, user: held.user });
    // Where nothing more is to be begun after a failure, a place is free when it is known whether this is one.
    const isFollowed = this.#build.request.keepGoing;
    const takesPlaces = executor.takesPlaces === true && isFollowed;
    using place = takesPlaces ? undefined : await this.#takePlace();
    this.#mayBegin();
    if (place !== undefined) onBegin();
    const onEnd = (): void => {
      if (isFollowed) place?.[Symbol.dispose]();
      turn.takeNow();
    };
    try {
      const places = {
        limiter: this.#shop.places,
        names: this.#names,
        isShort: isShort(this.#build.estimate(this.#result.name)),
      };
      const turns = place === undefined ? { places, onBegin } : {};
      const outcome = await executor.run({ ...task, ...turns, onEnd }, this.#signal);
      this.#noteEnd();
      const shortfall = shortfallOf(outcome, this.#derivation.builder) ?? this.#missing(outputs);
      if (shortfall !== undefined) throw new Refusal(shortfall);
      place?.[Symbol.dispose]();
      this.#result.exitCode = 0;
      await turn.take(this.#signal);
      this.#build.phase(this.#result, "register");
      await this.#settleInputs();
      using time = new ReadingTime(this.#signal, executor.wallTime);
      return await this.#register(outputs, inputs, { ...held, signal: time.signal });
    } catch (error) {
      this.#noteEnd();
      this.#build.noteFailure();
      await this.#keepFailed(directory, error);
      throw error;
    }
  }

  async #takePlace(): Promise<Disposable> {
    const { places } = this.#shop;
    return places.acquireNow() ?? (await places.acquire(this.#signal, this.#names));
  }

  /** Who asks for places. */
  get #names(): readonly string[] {
    const { id, request } = this.#build;
    return [request.user ?? "", id];
  }

  /** It may have been cancelled, or something else failed, while it waited. */
  #mayBegin(): void {
    this.#signal.throwIfAborted();
    if (this.#build.hasStopped) throw new Error("nothing more is begun");
  }

  #begin(executor: Executor, user: BuildUser | undefined): void {
    this.#build.begin(this.#result, executor, user);
    this.#result.builderStartedAt = this.#shop.clock.now();
  }

  /** Its builder has ended, if there was one. */
  #noteEnd(): void {
    const { builderStartedAt, builderEndedAt } = this.#result;
    if (builderStartedAt === undefined || builderEndedAt !== undefined) return;
    const now = this.#shop.clock.now();
    this.#result.builderEndedAt = now;
    if (!this.#signal.aborted) this.#shop.lookahead.ended(now - builderStartedAt);
  }

  /** The paths that the builder knows its outputs by. The path of a fixed one that is there is taken. */
  #outputPaths(): ReadonlyMap<string, StorePath> {
    const paths = this.#planned.isCheck ? temporaryPaths : outputPaths;
    return paths(this.#drvPath, this.#derivation);
  }

  /** What cannot be removed changes nothing about the result; the next start looks for it again. */
  #removedAtTheEnd(left: AsyncDisposable): AsyncDisposable {
    return {
      [Symbol.asyncDispose]: async () => {
        try {
          await left[Symbol.asyncDispose]();
        } catch (error) {
          this.#shop.log("warn", `after ${this.#drvPath}: ${KilnError.from(error).message}`);
        }
      },
    };
  }

  #task(
    executor: Executor,
    parts: {
      readonly inputs: readonly StorePath[];
      readonly outputs: ReadonlyMap<string, BuildOutput>;
      readonly directory: BuildDirectory;
      readonly user: BuildUser | undefined;
    },
  ): BuildTask {
    const { inputs, outputs, directory, user } = parts;
    const { store, coresPerBuild } = this.#shop;
    const log = this.#build.logOf(this.#result);
    const expanded = this.#expanded(outputs);
    return {
      drvPath: this.#drvPath,
      derivation: expanded,
      env: builderEnvironment(expanded.env, {
        workDirectory: executor.workDirectoryInside ?? directory.path,
        storeDirectory: store.directory,
        cores: coresPerBuild,
      }),
      workDirectory: directory.path,
      outputs,
      inputs,
      realPathOf: (path) => store.realPath(path),
      log,
      watch: (places) => watchOutputs(places, store),
      progress: (phase, done, total, unit) =>
        this.#build.phase(this.#result, phase, { done, total, unit }),
      systemDeps: systemDepsOf(this.#derivation.env),
      ...(user && { user }),
    };
  }

  #expanded(outputs: ReadonlyMap<string, BuildOutput>): Derivation {
    const paths = new Map(Array.from(outputs, ([name, { logical }]) => [name, logical] as const));
    return expandDerivation(
      this.#derivation,
      replacementsFor(this.#derivation, this.#build.choices, paths),
    );
  }

  #missing(outputs: ReadonlyMap<string, BuildOutput>): Shortfall | undefined {
    for (const [name, { real }] of outputs) {
      if (lstatSync(real, { throwIfNoEntry: false }) === undefined) return missingOutput(name);
    }
    return undefined;
  }

  async #register(
    outputs: ReadonlyMap<string, BuildOutput>,
    inputs: readonly StorePath[],
    {
      lock,
      drvHash,
      signal,
    }: {
      readonly lock: Disposable | undefined;
      readonly drvHash: Hash;
      readonly signal: AbortSignal;
    },
  ): Promise<ReadonlyMap<string, ObjectInfo>> {
    const { store, buffers } = this.#shop;
    const made = Array.from(outputs, ([name, { logical, real }]) => ({
      name,
      logical: fixedOutput(this.#derivation) ?? logical,
      tree: real,
    }));
    const { infos, added } = await registerOutputs(made, this.#derivation, {
      store,
      inputs,
      lock,
      buffers,
      signal,
      recorder: (found) => this.#record(drvHash, found),
      onPlaced: (found) => {
        if (!this.#planned.isCheck) this.#onPlaced(found);
      },
    });
    for (const info of added) this.#build.added(info);
    return infos;
  }

  async #keepFailed(directory: BuildDirectory, error: unknown): Promise<void> {
    const isFailure =
      error instanceof Refusal || (error instanceof KilnError && error.kind === "builder");
    if (!isFailure || !this.#build.request.keepFailed || !this.#shop.allowKeepFailed) return;
    try {
      await directory.keep(this.#build.request.keeper);
      this.#keptAt = directory.path;
    } catch (fault) {
      this.#shop.log("warn", KilnError.from(fault).message);
    }
  }

  /**
   * Writes down what the outputs are, with the outputs themselves. What contradicts this build is refused before; what was made
   * only to be compared is an object that nothing needs.
   */
  #record(drvHash: Hash, infos: ReadonlyMap<string, ObjectInfo>): () => void {
    const { realizations, table, clock, signingKeys } = this.#shop;
    const { choices } = this.#build;
    if (this.#planned.isCheck) return () => undefined;
    const found = realizationsOf(drvHash, infos, () =>
      choices.producersOfInputs(this.#derivation),
    ).map((realization) => signRealization(realization, signingKeys));
    choices.check(found);
    const outputs = outputsOf(infos);
    return () => {
      const endedAt = clock.now();
      this.#recordedAt = endedAt;
      for (const realization of found) realizations.add(realization, endedAt);
      const row = { ...this.#result.toRow(), state: "built", endedAt, outputs };
      table.saveResult(this.#build.id, row);
    };
  }

  async #fail(shortfall: Shortfall): Promise<void> {
    const result = this.#result;
    /** What Kiln adds to the log; people are told otherwise. */
    const own = [shortfall.logLine];
    if (this.#keptAt !== undefined) own.push(`Build directory available at ${this.#keptAt}`);
    try {
      if (result.state === "waiting") this.#build.begin(result, this.#executor, this.#user);
      for (const line of own) result.log?.line(line);
    } catch (error) {
      this.#shop.log("warn", KilnError.from(error).message);
    }
    result.finishLog();
    const path = logPath(this.#shop.logDirectory, this.#build.id, this.#drvPath);
    this.#build.failed(result, shortfall, await logEnd(path, own));
    if (this.#keptAt !== undefined) this.#build.kept(result, this.#keptAt);
  }

  #classes(drvHash: Hash): EquivalenceClass[] {
    return Array.from(this.#derivation.outputs.keys(), (output) =>
      equivalenceClass(drvHash, output),
    );
  }
}
