/**
 * Builds with nothing around them but what is promised of one: a directory of its own and a FIFO for its words; a builder that is started,
 * and looked after when it has ended, by the program beside the daemon; its name announced with the others, its output hashed, moved and
 * brought to disk with its name; and what it is written down. No plan, no events, no files of logs, no security of any kind, and nobody who asks how it goes.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  fsync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmdirSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { findProgram } from "../src/build/builtins/extract/program.ts";
import { FifoPool } from "../src/build/fifo-pool.ts";
import { canStart, Starter } from "../src/build/starter.ts";
import { Limiter } from "../src/util/limiter.ts";
import { SharedRun } from "../src/util/shared-run.ts";
import { many } from "../test/support/brief.ts";
import { LeastDatabase } from "./least-database.ts";
import type { Limit } from "./limits.ts";

const sync = promisify(fsync);
const orders = fileURLToPath(new URL("../src/build/builder.pl", import.meta.url));

/** Many at once, as many builders at a time as there are CPUs; and a chain of them. None where nothing can start them. */
export async function leastBuilds(folder: string): Promise<Limit[]> {
  const perl = findProgram("perl");
  if (perl === undefined || !canStart()) return [];
  const [wide, long] = [many(100), many(30)];
  await using builds = new LeastBuilds(perl, folder);
  await builds.build("warm");
  let begin = performance.now();
  const names = Array.from({ length: wide }, (_, index) => `wide-${index}`);
  await builds.announce(names);
  await Promise.all(names.map((name) => builds.build(name)));
  const perSecond = (wide * 1000) / (performance.now() - begin);
  begin = performance.now();
  const ends: Promise<void>[] = [];
  const links = Array.from({ length: long }, (_, index) => `link-${index}`);
  await builds.announce(links);
  for (const link of links) {
    const placed = Promise.withResolvers<void>();
    ends.push(builds.build(link, placed.resolve));
    await placed.promise;
  }
  await Promise.all(ends);
  const each = (performance.now() - begin) / long;
  return [
    { what: "builds with nothing around them", value: perSecond, unit: "per s" },
    { what: "a link of a chain of them", value: each, unit: "ms" },
  ];
}

class LeastBuilds implements AsyncDisposable {
  readonly #starter: Starter;
  readonly #fifos: FifoPool;
  readonly #database: LeastDatabase;
  readonly #folder: string;
  readonly #store: string;
  readonly #names: number;
  readonly #places = new Limiter(availableParallelism());
  readonly #nameSync: SharedRun;

  constructor(perl: string, folder: string) {
    this.#starter = new Starter(perl, [orders]);
    this.#fifos = new FifoPool(folder);
    this.#database = new LeastDatabase(join(folder, "least.db"));
    this.#folder = folder;
    this.#store = join(folder, "least");
    mkdirSync(this.#store);
    this.#names = openSync(this.#store, "r");
    this.#nameSync = new SharedRun(() => sync(this.#names));
  }

  /** Has it on disk that something of these names is about to appear. */
  async announce(names: readonly string[]): Promise<void> {
    await this.#database.announce(names.map((name) => this.#madeAt(name)));
  }

  /** `onPlaced` is called when another builder may use it. */
  async build(name: string, onPlaced?: () => void): Promise<void> {
    const [made, kept] = [this.#madeAt(name), join(this.#store, name)];
    using place = await this.#places.acquire();
    await this.#run(name, made);
    place[Symbol.dispose]();
    const hash = createHash("sha256").update(readFileSync(made)).digest();
    renameSync(made, kept);
    onPlaced?.();
    const file = openSync(kept, "r");
    await Promise.all([sync(file), this.#nameSync.run()]);
    closeSync(file);
    await this.#database.record({ made, kept, hash });
  }

  #madeAt(name: string): string {
    return join(this.#store, `${name}-made`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#starter[Symbol.asyncDispose]();
    await this.#fifos[Symbol.asyncDispose]();
    this.#database[Symbol.dispose]();
    closeSync(this.#names);
  }

  async #run(name: string, made: string): Promise<void> {
    const directory = join(this.#folder, `least-${name}`);
    mkdirSync(directory);
    using words = await this.#fifos.take(() => {});
    const program = ["3", "/bin/sh", "-c", `echo ${name} > ${made}`];
    await new Promise<void>((resolve) => {
      this.#starter.begin("builder", [words.path, directory, "", "", ...program], (line) => {
        if (line.startsWith("closed")) resolve();
      });
    });
    words.closeWriteEnd();
    await words.endsWithin(500);
    rmdirSync(directory);
  }
}
