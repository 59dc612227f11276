/** Verifying many trees at once: each is read and hashed in a thread. */
import { availableParallelism } from "node:os";
import type { Worker } from "node:worker_threads";
import { parseContentAddress, printContentAddress } from "../format/content-address.ts";
import { type Hash, parseHash } from "../format/hash.ts";
import type { ObjectInfo } from "../format/object-info.ts";
import { KilnError } from "../util/kiln-error.ts";
import { Limiter } from "../util/limiter.ts";
import { startThread } from "../util/start-thread.ts";
import type { TreeState } from "./tree-state.ts";
import type { ObjectRecord } from "./verification.ts";
import type { Finding, Task } from "./verification-worker.ts";

/** More threads than this only make a disk seek. */
const mostThreads = 8;

export class VerificationPool implements AsyncDisposable {
  readonly #places: Limiter;
  readonly #idle: Worker[] = [];
  readonly #all = new Set<Worker>();

  /** `threads` is how many trees are read at once; default: the number of CPUs, at most 8. */
  constructor(threads: number = Math.min(availableParallelism(), mostThreads)) {
    this.#places = new Limiter(threads);
  }

  /** How many trees are read at once. */
  get threads(): number {
    return this.#places.max;
  }

  /**
   * As `verifyTree`, when a thread is free.
   *
   * @throws KilnError what `verifyTree` throws
   */
  async verify(record: ObjectRecord, tree: string): Promise<ObjectInfo> {
    const { storePath, narSize, references } = record;
    const finding = await this.#run(taskOf(record, tree));
    if (!("ca" in finding)) throw unexpected();
    const { narHash, ca } = finding;
    return {
      storePath,
      narHash: parseHash(narHash),
      narSize,
      references,
      ca: parseContentAddress(ca),
    };
  }

  /**
   * As `hashTree`, when a thread is free.
   *
   * @throws KilnError what `hashTree` throws
   */
  async hash(record: ObjectRecord, tree: string): Promise<{ narHash: Hash; narSize: number }> {
    const finding = await this.#run({ ...taskOf(record, tree), what: "hash" });
    if (!("hash" in finding)) throw unexpected();
    return { narHash: parseHash(finding.hash), narSize: finding.size };
  }

  /**
   * As `treeState`, when a thread is free.
   *
   * @throws KilnError what `treeState` throws
   */
  async state(
    record: ObjectRecord,
    tree: string,
    owner: { readonly uid: number; readonly gid: number } | undefined,
  ): Promise<TreeState> {
    const finding = await this.#run({ ...taskOf(record, tree), what: "state", owner });
    if (!("state" in finding)) throw unexpected();
    return finding.state;
  }

  /** As `findWrongModes`, when a thread is free; none where it finds nothing. */
  async findWrongModes(
    record: ObjectRecord,
    tree: string,
    suspects: Iterable<string>,
  ): Promise<readonly string[]> {
    const task = taskOf(record, tree);
    const finding = await this.#run({ ...task, what: "marks", suspects: [...suspects] });
    if (!("files" in finding)) throw unexpected();
    return finding.files;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#all].map((worker) => worker.terminate()));
  }

  async #run(task: Task): Promise<Exclude<Finding, { code: string }>> {
    using _place = await this.#places.acquire();
    let worker = this.#idle.pop();
    while (worker !== undefined && !this.#all.has(worker)) worker = this.#idle.pop();
    worker ??= this.#start();
    const finding = await ask(worker, task);
    if (this.#all.has(worker)) this.#idle.push(worker);
    if (!("code" in finding)) return finding;
    throw new KilnError(finding.code, finding.message, { path: task.storePath });
  }

  #start(): Worker {
    const worker = startThread("verification-worker", import.meta.url);
    this.#all.add(worker);
    // An idle thread keeps no process alive; one that works is waited for.
    worker.unref();
    worker.once("exit", () => this.#all.delete(worker));
    return worker;
  }
}

function taskOf({ narHash, ca, ...rest }: ObjectRecord, tree: string): Task {
  return { ...rest, tree, narHash: narHash?.sri(), ca: ca && printContentAddress(ca) };
}

function unexpected(): Error {
  return new Error("a thread answered another question");
}

/** Gives a thread a tree and waits for what it found. A thread that ends without a word is a finding, too. */
async function ask(worker: Worker, task: Task): Promise<Finding> {
  const { promise, resolve } = Promise.withResolvers<Finding>();
  const onError = (error: unknown): void => {
    resolve({ code: "internal", message: error instanceof Error ? error.message : String(error) });
  };
  const onExit = (): void => resolve({ code: "internal", message: "the thread ended" });
  worker.once("message", resolve).once("error", onError).once("exit", onExit);
  worker.postMessage(task, []);
  try {
    return await promise;
  } finally {
    worker.off("message", resolve).off("error", onError).off("exit", onExit);
  }
}
