/** A store in a temporary folder with a build service on it, and small derivations for it. */
import { sortedSet } from "../util/byte-string.ts";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ContentAddress } from "../format/content-address.ts";
import {
  type Derivation,
  type DerivationOutput,
  sortedMap,
} from "../format/derivation/derivation.ts";
import { inputPlaceholder, ownPlaceholder } from "../format/derivation/placeholders.ts";
import { derivationObject } from "../format/derivation/print.ts";
import { sha256 } from "../format/hash.ts";
import { outputObjectName, storePathOf } from "../format/path-digest.ts";
import { parseStoreDirectory, type StoreDirectory, type StorePath } from "../format/store-path.ts";
import { hashTree } from "../files/dump.ts";
import type { BuildMessage } from "../rpc/protocol.ts";
import type { Durability } from "../store/database/open.ts";
import { Store } from "../store/store.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { eventSchema } from "./event-schema.ts";
import { BuiltinExecutor } from "./builtin-executor.ts";
import type { BuildEvent } from "./events.ts";
import type { Executor } from "./executor.ts";
import { Executors } from "./executors.ts";
import { ProcessExecutor } from "./process-executor.ts";
import { BuildService, type BuildServiceOptions, type RealizeRequest } from "./service.ts";

export interface Made {
  readonly drvPath: StorePath;
  readonly derivation: Derivation;
}

export interface ShellOptions {
  /** Output names; default `out`. */
  readonly outputs?: readonly string[];
  /** Instead of floating outputs, `out` with this address. */
  readonly fixed?: ContentAddress;
  /** Variables that hold outputs of other derivations; `out` unless another one is named. */
  readonly inputs?: Readonly<Record<string, Made | readonly [Made, string]>>;
  /** Variables that hold sources. */
  readonly sources?: Readonly<Record<string, StorePath>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly system?: string;
  readonly builder?: string;
  readonly args?: readonly string[];
}

export interface Finished {
  readonly id: string;
  readonly build: BuildMessage;
  readonly events: readonly BuildEvent[];
}

/** A derivation that runs a shell script; its outputs are variables. */
export function shellDerivation(
  directory: StoreDirectory,
  name: string,
  script: string,
  options: ShellOptions = {},
): Derivation {
  const { outputs: names = ["out"], fixed, inputs = {}, sources = {} } = options;
  const used = new Map<StorePath, string[]>();
  const env: Record<string, string> = { PATH: "/bin:/usr/bin", ...sources, ...options.env };
  for (const [variable, input] of Object.entries(inputs)) {
    const [{ drvPath }, output] = "drvPath" in input ? [input, "out"] : input;
    used.set(drvPath, sortedSet([...(used.get(drvPath) ?? []), output]));
    env[variable] = inputPlaceholder(drvPath, output);
  }
  const floating: DerivationOutput = { type: "floating", method: "recursive", hashType: "sha256" };
  const outputs = sortedMap(
    fixed === undefined
      ? names.map((output): [string, DerivationOutput] => [output, floating])
      : [["out", { type: "fixed", ca: fixed }]],
  );
  for (const output of outputs.keys()) env[output] = ownPlaceholder(output);
  return {
    directory,
    name,
    inputDerivations: sortedMap(used),
    inputSources: sortedSet(Object.values(sources)),
    system: options.system ?? "x86_64-linux",
    builder: options.builder ?? "/bin/sh",
    args: options.args ?? ["-c", script],
    env: sortedMap(Object.entries(env)),
    outputs,
  };
}

type Options = Partial<BuildServiceOptions> & { readonly native?: Executor };

export class Workbench implements AsyncDisposable {
  readonly folder: string;
  readonly directory: StoreDirectory;
  readonly logged: string[] = [];
  store: Store;
  service: BuildService;
  readonly #remove: Partial<AsyncDisposable>;
  readonly #options: Options;
  readonly #durability: Durability;

  private constructor(
    temporary: { readonly path: string } & Partial<AsyncDisposable>,
    store: Store,
    { options, durability }: { readonly options: Options; readonly durability: Durability },
  ) {
    this.#durability = durability;
    this.#remove = temporary;
    this.folder = temporary.path;
    this.store = store;
    this.directory = store.directory;
    this.#options = options;
    this.service = this.#newService();
  }

  static async open(options: Options = {}, durability: Durability = "process"): Promise<Workbench> {
    const temporary = await temporaryDirectory(tmpdir(), "kiln-build-");
    return await Workbench.openIn(temporary, options, durability);
  }

  /** In a folder that may hold what another workbench has left there. It goes with this one. */
  static async openIn(
    temporary: { readonly path: string } & Partial<AsyncDisposable>,
    options: Options = {},
    durability: Durability = "process",
  ): Promise<Workbench> {
    mkdirSync(join(temporary.path, "builds"), { recursive: true });
    return new Workbench(temporary, await openStore(temporary.path, durability), {
      options,
      durability,
    });
  }

  /** Closes service and store and opens them again. */
  async restart(): Promise<void> {
    await this.service.close();
    await this.store.close();
    this.store = await openStore(this.folder, this.#durability);
    this.service = this.#newService();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.service.close();
    await this.store.close();
    await this.#remove[Symbol.asyncDispose]?.();
  }

  /** Puts a file into the store. */
  async source(name: string, contents: string): Promise<StorePath> {
    const ca: ContentAddress = { method: "recursive", hash: sha256() };
    const tree = join(this.store.temporaryDirectory, `source-${name}`);
    writeFileSync(tree, contents);
    const { narHash, narSize } = await hashTree(tree);
    const hash = await sourceHash(tree);
    const address = { ...ca, hash };
    const storePath = storePathOf(this.directory, name, address, { self: false, others: [] });
    await this.store.publish(tree, { storePath, narHash, narSize, references: [], ca: address });
    return storePath;
  }

  /** Puts a derivation into the store. */
  async add(derivation: Derivation): Promise<Made> {
    const { path, contents, ca, references } = derivationObject(derivation);
    const tree = join(this.store.temporaryDirectory, `drv-${sha256(path).rawBase16()}`);
    writeFileSync(tree, contents);
    const hashes = await hashTree(tree);
    await this.store.publish(tree, { storePath: path, ...hashes, references, ca });
    return { drvPath: path, derivation };
  }

  /** Puts a derivation that runs a shell script into the store. */
  shell(name: string, script: string, options: ShellOptions = {}): Promise<Made> {
    return this.add(shellDerivation(this.directory, name, script, options));
  }

  /** Realises derivations and waits for the end. */
  async realize(
    targets: Made | readonly Made[],
    options: Omit<RealizeRequest, "drvPaths"> = {},
  ): Promise<Finished> {
    const list = "drvPath" in targets ? [targets] : targets;
    const id = await this.service.realize({
      drvPaths: list.map(({ drvPath }) => drvPath),
      ...options,
    });
    return await this.finished(id);
  }

  async finished(id: string): Promise<Finished> {
    const events = await Array.fromAsync(this.service.watch(id, 0));
    await this.service.ended(id);
    // Whatever a test is about, the events are what their schema says, and no more than that.
    for (const event of events) assert.deepEqual(eventSchema.parse(event), event);
    return { id, build: this.service.build(id), events };
  }

  /** The whole log of a result. */
  async log(id: string, { drvPath }: Made): Promise<string> {
    const parts: Buffer[] = [];
    for (let at = 0, eof = false; !eof;) {
      const chunk = await this.service.readLog(id, drvPath, at, undefined);
      parts.push(chunk.bytes);
      at += chunk.bytes.length;
      ({ eof } = chunk);
    }
    return Buffer.concat(parts).toString();
  }

  /** An output file's contents. */
  read({ build }: Finished, { drvPath }: Made, output = "out"): string {
    return readFileSync(this.store.realPath(this.pathOf(build, drvPath, output)), "utf8");
  }

  pathOf(build: BuildMessage, drvPath: StorePath, output = "out"): StorePath {
    const result = build.results.find((one) => one.drvPath === drvPath);
    const path = result?.outputs.find(({ name }) => name === output)?.path;
    if (path === undefined || path === null) throw new Error(`${drvPath}!${output} has no path`);
    return path;
  }

  /** Names in the store directory, and in the build directory, that no object has. */
  leftovers(): string[] {
    const known = new Set<string>(this.store.list());
    const inStore = readdirSync(this.directory)
      .filter((name) => name !== ".kiln" && !known.has(`${this.directory}/${name}`))
      .concat(
        readdirSync(this.store.temporaryDirectory).filter((name) => !name.startsWith("fifo-")),
      );
    return [...inStore, ...readdirSync(join(this.folder, "builds"))];
  }

  #newService(): BuildService {
    const { store, folder } = this;
    const { native, ...options } = this.#options;
    return new BuildService({
      store,
      executors: Executors.of(
        native ??
          new ProcessExecutor({
            storeDirectory: store.directory,
            realDirectory: store.realDirectory,
            temporaryDirectory: store.temporaryDirectory,
            claim: (paths) => store.claim(paths),
            grace: 200,
          }),
        new BuiltinExecutor({ environment: {} }),
      ),
      jobs: 4,
      coresPerBuild: 1,
      logDirectory: join(folder, "log"),
      buildDirectory: join(folder, "builds"),
      allowKeepFailed: true,
      log: (level, text) => this.logged.push(`${level} ${text}`),
      ...options,
    });
  }
}

/** Statuses of results by derivation name. */
export function statuses({ build }: Finished): Record<string, string> {
  return Object.fromEntries(
    build.results.map(({ drvPath, status }) => [
      drvPath.slice(drvPath.lastIndexOf("/") + 34, -4),
      status,
    ]),
  );
}

/** How results ended, by derivation name. */
export function states({ events }: Finished): Record<string, string> {
  return Object.fromEntries(
    events.flatMap((event) =>
      event.type === "result.finished"
        ? [[event.drvPath.slice(event.drvPath.lastIndexOf("/") + 34, -4), event.state]]
        : [],
    ),
  );
}

/** The name of an output's object. */
export const nameOfOutput: typeof outputObjectName = outputObjectName;

function openStore(folder: string, durability: Durability): Promise<Store> {
  return Store.open({
    directory: parseStoreDirectory(join(folder, "store")),
    database: join(folder, "db.sqlite"),
    durability,
  });
}

async function sourceHash(tree: string): Promise<ContentAddress["hash"]> {
  const { SelfReferenceAnalyzer } = await import("../format/references/self-references.ts");
  const { dumpNar } = await import("../files/dump.ts");
  const analyzer = new SelfReferenceAnalyzer(undefined);
  for (const chunk of dumpNar(tree)) analyzer.write(chunk);
  return analyzer.finish().ca.hash;
}
