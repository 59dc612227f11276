/** What a job is, and what several of them do. */
import { setTimeout as delay } from "node:timers/promises";
import type { Derivation } from "../src/format/derivation/derivation.ts";
import { derivationPath } from "../src/format/derivation/print.ts";
import type { StorePath } from "../src/format/store-path.ts";
import type { StoreClient } from "../src/rpc/client.ts";
import { hasCode } from "../src/util/kiln-error.ts";
import { exportOf } from "../test/support/derivations.ts";
import type { Nix } from "./nix.ts";
import { type Packed, streamOf } from "./objects.ts";
import type { Bench } from "./peer.ts";

export type Unit =
  | "MB/s"
  | "objects/s"
  | "files/s"
  | "per s"
  | "builds/s"
  | "s"
  | "ms"
  | "MiB"
  | "x";

/** One row of the table, as one peer has done it once. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: Unit;
}

/** Something that is measured: it prepares what it needs untimed, and gives figures by name. */
export interface Job {
  readonly name: string;
  /** Whether `--quick` leaves it out. */
  readonly isLong?: boolean;
  /** With a daemon, Kiln's or zb's, that has been started on a new store. */
  run(bench: Bench): Promise<readonly Figure[]>;
  /** With Nix, where it has the same job; its figures have the same names. */
  nix?(nix: Nix): Promise<readonly Figure[]>;
}

export const MB = 1_000_000;

let serial = 0;
/** A name that no object, derivation or file of this run has yet. */
export const fresh = (name: string): string => `${name}-${process.pid}-${serial++}`;

/** How long it takes. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
}

/** The median. */
export function middle(list: readonly number[]): number {
  return list.toSorted((a, b) => a - b)[list.length >> 1] ?? Number.NaN;
}

/** Imports, and waits until the last object is there. */
export async function send(
  bench: Bench,
  client: StoreClient,
  objects: readonly Packed[],
): Promise<void> {
  await client.importStream(streamOf(objects));
  for (const { path } of objects.slice(-1)) await bench.arrived(client, path);
}

/** Exports a closure; the number of bytes that came. */
export async function receive(client: StoreClient, paths: readonly StorePath[]): Promise<number> {
  let bytes = 0;
  for await (const chunk of await client.export(paths)) bytes += chunk.length;
  return bytes;
}

/** Imports derivations. */
export async function put(
  bench: Bench,
  client: StoreClient,
  all: readonly Derivation[],
): Promise<StorePath[]> {
  await client.importStream([exportOf(all)]);
  const paths = all.map(derivationPath);
  await bench.arrived(client, paths.at(-1)!);
  return paths;
}

/** Realises derivations; throws when the build failed. */
export async function build(client: StoreClient, drvPaths: readonly StorePath[]): Promise<void> {
  const { buildID } = await client.call("zb.realize", { drvPath: [...drvPaths] });
  // More and more seldom: the question costs the daemon something, too.
  for (let pause = 1; ; pause = Math.min(10, pause + 1)) {
    const { status } = await client.call("zb.getBuild", { buildID });
    if (status === "success") return;
    if (status !== "active") throw new Error(`a build ended with ${status}`);
    await delay(pause);
  }
}

/** For those who read a log: there is none before the builder has got its place. */
export function notYet(error: unknown): { text?: string; eof: boolean } {
  if (!hasCode(error, "log.unknown")) throw error;
  return { eof: false };
}
