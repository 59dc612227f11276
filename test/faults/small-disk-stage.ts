/** A daemon on a small disk with a client that fills it with objects and builds. */
import { derivationPath } from "../../src/format/derivation/print.ts";
import { objectNameOf, parseStoreDirectory, type StorePath } from "../../src/format/store-path.ts";
import type { StoreClient } from "../../src/rpc/client.ts";
import { chunksOf, sample, streamOf, type Sample } from "../../src/store/store.test.support.ts";
import { KilnError } from "../../src/util/kiln-error.ts";
import { finishedBuild } from "../support/builds.ts";
import { exportOf, shell } from "../support/derivations.ts";
import type { SmallDisk } from "./small-disk.ts";

export const directory = parseStoreDirectory("/opt/zb/store");
let names = 0;

/** A name that was not given before. */
export function newName(letter: string): string {
  return `${letter}${names++}`;
}

export class Stage {
  readonly disk: SmallDisk;
  readonly client: StoreClient;

  constructor(disk: SmallDisk, client: StoreClient) {
    this.disk = disk;
    this.client = client;
  }

  /** Imports objects. What was refused is thrown. */
  async take(...objects: Sample[]): Promise<void> {
    await this.#send(streamOf(...objects));
  }

  async define(script: string): Promise<StorePath> {
    const env = { __buildSystemDeps: "/bin /usr /lib /lib64" };
    const derivation = shell(newName("b"), script, { env });
    await this.#send(exportOf([derivation]));
    return derivationPath(derivation);
  }

  async #send(stream: Buffer): Promise<void> {
    await this.client.importStream(chunksOf(stream));
    await this.client.barrier();
    const { reports } = await this.client.call("kiln.importReport", {});
    for (const { status, code = "", message = "", hint = "" } of reports) {
      if (status === "rejected") throw new KilnError(code, message, { hint });
    }
  }

  /** Waits for the end of a build, which is to succeed. */
  async build(start: Promise<{ buildID: string }>): Promise<void> {
    const { buildID } = await start;
    const { status } = await finishedBuild(this.client, buildID);
    if (status === "success") return;
    const { results } = await this.client.call("kiln.results", { buildID });
    const failure = results.find((result) => result.failure !== null)?.failure;
    // Only what was written down of the build is told of it: perhaps nothing.
    throw new KilnError(failure?.code ?? "none", failure?.message ?? status, {
      hint: failure?.message ?? "",
    });
  }

  /** Where an object lies, seen from outside of the world. */
  place(path: StorePath): string {
    return this.disk.world.path(`${directory}/${objectNameOf(path)}`);
  }
}

/** An object of so many KiB that is like no other. */
export function fresh(size: number, references: readonly StorePath[] = []): Sample {
  const name = newName("o");
  return sample(directory, name, Buffer.alloc(size * 1024, `${name} `), references);
}
