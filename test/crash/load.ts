/** Clients of a daemon that is going to be killed: they import, build, delete and collect until it is gone, and write down what they were told. */
import { setTimeout as delay } from "node:timers/promises";
import { derivationPath } from "../../src/format/derivation/print.ts";
import type { StoreDirectory, StorePath } from "../../src/format/store-path.ts";
import { StoreClient } from "../../src/rpc/client.ts";
import { hasCode } from "../../src/util/kiln-error.ts";
import {
  chunksOf,
  sample,
  streamOf,
  type Sample,
  type Tree,
} from "../../src/store/store.test.support.ts";
import { exportOf, shell } from "../support/derivations.ts";
import type { Oracle } from "./oracle.ts";

export const kinds = ["import", "build", "delete", "collect"] as const;
export type Kind = (typeof kinds)[number];

/** Objects that roots keep at most: the older ones go. */
const mostRoots = 24;

export class Load {
  /** How many of each kind are under way now. */
  readonly underWay: Record<Kind, number> = { import: 0, build: 0, delete: 0, collect: 0 };
  /** How many of each kind were acknowledged. */
  readonly done: Record<Kind, number> = { import: 0, build: 0, delete: 0, collect: 0 };
  /** Milliseconds that one takes, by and large. */
  readonly usual: Record<Kind, number> = { import: 20, build: 100, delete: 10, collect: 20 };
  /** Clients that lost their connection and said so. */
  interrupted = 0;
  readonly faults: string[] = [];
  readonly #oracle: Oracle;
  readonly #random: () => number;
  readonly #directory: StoreDirectory;
  readonly #samples = new Map<StorePath, Sample>();
  #starts: { kind: Kind; resolve: () => void }[] = [];
  #names = 0;

  constructor(oracle: Oracle, directory: StoreDirectory, random: () => number) {
    this.#oracle = oracle;
    this.#directory = directory;
    this.#random = random;
  }

  /** Resolves when all clients have lost the daemon. */
  async run(socket: string): Promise<void> {
    const actors = [
      (client: StoreClient) => this.#import(client),
      (client: StoreClient) => this.#import(client),
      (client: StoreClient) => this.#build(client),
      (client: StoreClient) => this.#delete(client),
      (client: StoreClient) => this.#collect(client),
    ];
    await Promise.all(actors.map(async (act) => await this.#play(socket, act)));
  }

  /** Resolves when the next work of this kind begins. */
  async begins(kind: Kind): Promise<void> {
    await new Promise<void>((resolve) => this.#starts.push({ kind, resolve }));
  }

  async #play(socket: string, act: (client: StoreClient) => Promise<void>): Promise<void> {
    try {
      await using client = await StoreClient.connect(socket);
      for (;;) await act(client);
    } catch (error) {
      if (hasCode(error, "socket.interrupted") || hasCode(error, "socket.refused"))
        this.interrupted++;
      else this.faults.push(`a client: ${error instanceof Error ? error.stack : String(error)}`);
    }
  }

  async #during<T>(kind: Kind, work: () => Promise<T>): Promise<T> {
    this.underWay[kind]++;
    const start = performance.now();
    for (const { resolve } of this.#starts.filter((one) => one.kind === kind)) resolve();
    this.#starts = this.#starts.filter((one) => one.kind !== kind);
    try {
      const result = await work();
      this.done[kind]++;
      this.usual[kind] += (performance.now() - start - this.usual[kind]) / 8;
      return result;
    } finally {
      this.underWay[kind]--;
    }
  }

  #pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.#random() * list.length)];
  }

  async #import(client: StoreClient): Promise<void> {
    const began = this.#oracle.begin();
    const objects = this.#objects();
    const stream = streamOf(...objects);
    const size = this.#random() < 0.3 ? 997 : 65_536;
    const reports = await this.#during("import", async () => {
      await client.importStream(chunksOf(stream, size));
      await client.barrier();
      return (await client.call("kiln.importReport", {})).reports;
    });
    for (const { storePath } of objects) this.#oracle.sent(storePath);
    const taken = objects.filter(({ storePath }) =>
      reports.some((one) => one.storePath === storePath && one.status !== "rejected"),
    );
    for (const { storePath } of taken) this.#oracle.came(storePath, began);
    const rejected = reports.find(
      ({ code }) => code !== undefined && code !== "store.missingReference",
    );
    if (rejected !== undefined) this.faults.push(`rejected: ${JSON.stringify(rejected)}`);
    const last = taken.at(-1)?.storePath;
    if (last !== undefined && this.#random() < 0.5) await this.#root(client, last);
    await delay(this.#random() * 20);
  }

  /** Some new objects that refer to each other and to roots, and some that were removed. */
  #objects(): Sample[] {
    const objects: Sample[] = [];
    const roots = [...this.#oracle.roots.values()];
    for (let left = 1 + Math.floor(this.#random() * 12); left > 0; left--) {
      const known = this.#random() < 0.2 ? this.#pick([...this.#oracle.gone]) : undefined;
      const again = known === undefined ? undefined : this.#samples.get(known);
      const object = again?.references.length === 0 ? again : this.#fresh(objects, roots);
      if (objects.some(({ storePath }) => storePath === object.storePath)) continue;
      objects.push(object);
      this.#oracle.coming(object.storePath, object.references);
    }
    return objects;
  }

  #fresh(before: readonly Sample[], roots: readonly StorePath[]): Sample {
    const candidates = [this.#pick(before)?.storePath, this.#pick(roots)];
    const references = candidates.filter((one) => one !== undefined && this.#random() < 0.5);
    const contents = String(this.#random());
    const isLarge = this.#random() < 0.05;
    const tree: Tree = isLarge
      ? Buffer.alloc(2_000_000 * this.#random(), contents)
      : this.#random() < 0.5
        ? contents
        : {
            entries: {
              bin: { entries: { run: { executable: contents } } },
              link: { target: "bin" },
            },
          };
    const made = sample(this.#directory, `o${this.#names++}`, tree, references as StorePath[]);
    this.#samples.set(made.storePath, made);
    return made;
  }

  async #root(client: StoreClient, path: StorePath): Promise<void> {
    const { roots, sure, everRoots } = this.#oracle;
    if (!sure.has(path)) return;
    everRoots.add(path);
    const name = `r${this.#names++}`;
    try {
      await client.call("kiln.addRoot", { name, path });
      this.#oracle.rooted(name, path);
    } catch (error) {
      // Somebody has removed it by name.
      if (!hasCode(error, "store.missing")) throw error;
    }
    const [oldest] = roots.keys();
    if (roots.size <= mostRoots || oldest === undefined) return;
    this.#oracle.unroot(oldest);
    await client.call("kiln.removeRoot", { name: oldest });
  }

  /** Most builders end soon; some would never, if the daemon did not die. */
  async #build(client: StoreClient): Promise<void> {
    const began = this.#oracle.begin();
    const wait = this.#random() < 0.04 ? 600 : this.#random() / 10;
    const script = `echo working; mkdir $out; echo ${this.#random()} > $out/a; sleep ${wait}; echo b > $out/b`;
    const drv = shell(`b${this.#names++}`, script, {
      store: this.#directory,
      env: { __buildSystemDeps: "/bin /usr /lib /lib64" },
    });
    const drvPath = derivationPath(drv);
    this.#oracle.coming(drvPath, []);
    await client.importStream([exportOf([drv])]);
    const outputs = await this.#during("build", async () => {
      const { buildID } = await client.call("zb.realize", { drvPath: [drvPath], reuse: {} });
      await client.watch(buildID, () => undefined);
      const { results } = await client.call("kiln.results", { buildID });
      const [result] = results;
      if (result?.status !== "success") this.faults.push(`a build: ${JSON.stringify(results)}`);
      return result?.outputs ?? [];
    });
    this.#oracle.made(drvPath, began);
    for (const { path } of outputs) if (path !== null) this.#oracle.made(path, began);
  }

  async #delete(client: StoreClient): Promise<void> {
    await delay(this.#random() * 20);
    const path = this.#pick(this.#oracle.removable());
    if (path === undefined) {
      await client.barrier(); // or it would not learn that the daemon is gone
      return;
    }
    const began = this.#oracle.begin();
    this.#oracle.removing(this.#oracle.referrers(path));
    try {
      const { deleted } = await this.#during("delete", () =>
        client.call("kiln.delete", { paths: [path], recursive: true }),
      );
      this.#oracle.went(deleted, began);
    } catch (error) {
      // An import uses it, or a collection was faster.
      if (!hasCode(error, "store.inUse") && !hasCode(error, "store.missing")) throw error;
    }
  }

  async #collect(client: StoreClient): Promise<void> {
    await delay(20 + this.#random() * 150);
    const began = this.#oracle.begin();
    this.#oracle.collecting();
    const { removed } = await this.#during("collect", () =>
      client.call("kiln.collect", { olderThan: 0 }),
    );
    this.#oracle.went(
      removed.map(({ path }) => path),
      began,
    );
  }
}
