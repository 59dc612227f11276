/** What is measured. A job is given a running daemon, prepares what it needs untimed, and gives figures by name. */
import { setTimeout as delay } from "node:timers/promises";
import type { Derivation } from "../src/format/derivation/derivation.ts";
import { inputPlaceholder } from "../src/format/derivation/placeholders.ts";
import { derivationPath } from "../src/format/derivation/print.ts";
import type { StorePath } from "../src/format/store-path.ts";
import type { StoreClient } from "../src/rpc/client.ts";
import { exportOf, shell } from "../test/support/derivations.ts";
import { closure, type Packed, randomObject, streamOf } from "./objects.ts";
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

export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: Unit;
}

export interface Job {
  readonly name: string;
  /** Whether `--quick` leaves it out. */
  readonly isLong?: boolean;
  run(bench: Bench): Promise<readonly Figure[]>;
}

const MB = 1_000_000;
let serial = 0;
const fresh = (name: string): string => `${name}-${process.pid}-${serial++}`;

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
}

async function send(bench: Bench, client: StoreClient, objects: readonly Packed[]): Promise<void> {
  await client.importStream(streamOf(objects));
  for (const { path } of objects.slice(-1)) await bench.arrived(client, path);
}

async function receive(client: StoreClient, paths: readonly StorePath[]): Promise<number> {
  let bytes = 0;
  for await (const chunk of await client.export(paths)) bytes += chunk.length;
  return bytes;
}

/** The build's end; throws when it failed. */
async function build(client: StoreClient, drvPaths: readonly StorePath[]): Promise<void> {
  const { buildID } = await client.call("zb.realize", { drvPath: [...drvPaths] });
  for (;;) {
    const { status } = await client.call("zb.getBuild", { buildID });
    if (status === "success") return;
    if (status !== "active") throw new Error(`a build ended with ${status}`);
    await delay(2);
  }
}

async function put(
  bench: Bench,
  client: StoreClient,
  all: readonly Derivation[],
): Promise<StorePath[]> {
  await client.importStream([exportOf(all)]);
  const paths = all.map(derivationPath);
  await bench.arrived(client, paths.at(-1)!);
  return paths;
}

export const jobs: readonly Job[] = [
  {
    name: "one object of 512 MiB",
    async run(bench) {
      const object = randomObject(fresh("large"), 512 * 1024 * 1024);
      const size = object.bytes.length / MB;
      const client = await bench.client();
      const importing = await seconds(() => send(bench, client, [object]));
      const exporting = await seconds(() => receive(client, [object.path]));
      return [
        { what: "import one object", value: size / importing, unit: "MB/s" },
        { what: "export one object", value: size / exporting, unit: "MB/s" },
        { what: "memory at most, importing 512 MiB", value: bench.memory("VmHWM"), unit: "MiB" },
      ];
    },
  },
  {
    name: "1,000 objects of 4 KiB",
    async run(bench) {
      const objects = Array.from({ length: 1000 }, () => randomObject(fresh("small"), 4096));
      const client = await bench.client();
      const importing = await seconds(() => send(bench, client, objects));
      const paths = objects.map(({ path }) => path);
      const exporting = await seconds(() => receive(client, paths));
      const lists = Array.from({ length: 8 }, () =>
        Array.from({ length: 125 }, () => randomObject(fresh("small"), 4096)),
      );
      const clients = await Promise.all(lists.map(() => bench.client()));
      const together = await seconds(() =>
        Promise.all(lists.map((list, index) => send(bench, clients[index]!, list))),
      );
      return [
        { what: "import small objects, one stream", value: 1000 / importing, unit: "objects/s" },
        { what: "import small objects, 8 connections", value: 1000 / together, unit: "objects/s" },
        { what: "export small objects", value: 1000 / exporting, unit: "objects/s" },
      ];
    },
  },
  {
    name: "a tree of 2,000 files",
    async run(bench) {
      const object = randomObject(
        fresh("tree"),
        Array.from({ length: 2000 }, () => 2000),
      );
      const client = await bench.client();
      const importing = await seconds(() => send(bench, client, [object]));
      return [{ what: "import a tree", value: 2000 / importing, unit: "files/s" }];
    },
  },
  {
    name: "closures of 1,000 objects",
    async run(bench) {
      const client = await bench.client();
      const figures: Figure[] = [];
      for (const shape of ["chain", "wide"] as const) {
        const objects = closure(shape, 1000);
        await send(bench, client, objects);
        const top = objects.at(-1)!.path;
        const time = await seconds(() => receive(client, [top]));
        figures.push({ what: `export a closure, ${shape}`, value: 1000 / time, unit: "objects/s" });
        if (bench.name !== "kiln") continue;
        const first = objects[0]!.path;
        const removing = await seconds(() =>
          client.call("kiln.delete", { paths: [first], recursive: true }),
        );
        figures.push({
          what: `delete a closure, ${shape}`,
          value: 1000 / removing,
          unit: "objects/s",
        });
      }
      return figures;
    },
  },
  {
    name: "questions",
    async run(bench) {
      const objects = Array.from({ length: 200 }, () => randomObject(fresh("asked"), 100));
      const client = await bench.client();
      await send(bench, client, objects);
      const ask = async (index: number): Promise<unknown> =>
        await client.call("zb.info", { path: objects[index % 200]!.path });
      const count = 3000;
      const singly = await seconds(async () => {
        for (let index = 0; index < count; index++) await ask(index);
      });
      const deep = await seconds(async () => {
        let next = 0;
        const lane = async (): Promise<void> => {
          while (next < count * 4) await ask(next++);
        };
        await Promise.all(Array.from({ length: 64 }, lane));
      });
      return [
        { what: "info, one by one", value: count / singly, unit: "per s" },
        { what: "info, 64 deep", value: (count * 4) / deep, unit: "per s" },
      ];
    },
  },
  {
    name: "builds",
    async run(bench) {
      const client = await bench.client();
      const tag = fresh("b");
      const many = Array.from({ length: 100 }, (_, index) =>
        shell(`${tag}-${index}`, `echo ${tag}${index} > $out`),
      );
      const paths = await put(bench, client, many);
      const first = await seconds(() => build(client, paths));
      const again = await seconds(() => build(client, paths));
      const chain: Derivation[] = [];
      for (let index = 0; index < 30; index++) {
        const before = chain.at(-1);
        const input = before && derivationPath(before);
        const env = input === undefined ? {} : { input: inputPlaceholder(input, "out") };
        chain.push(
          shell(`${tag}-chain-${index}`, `echo ${tag} ${index} > $out`, {
            env,
            inputs: input === undefined ? [] : [input],
          }),
        );
      }
      const links = await put(bench, client, chain);
      const linked = await seconds(() => build(client, links.slice(-1)));
      return [
        { what: "realise 100 derivations", value: 100 / first, unit: "builds/s" },
        { what: "realise them again", value: again, unit: "s" },
        { what: "chain of builds, per build", value: (linked / 30) * 1000, unit: "ms" },
      ];
    },
  },
  {
    name: "outputs",
    async run(bench) {
      const client = await bench.client();
      const tag = fresh("o");
      const large = await put(bench, client, [
        shell(
          `${tag}-large`,
          `echo ${tag} > $out; dd if=/dev/urandom bs=1M count=1 of=r 2>/dev/null; i=0; while [ $i -lt 512 ]; do cat r; i=$((i+1)); done >> $out`,
        ),
      ]);
      const nothing = await put(bench, client, [
        shell(
          `${tag}-none`,
          `echo ${tag} > x; dd if=/dev/urandom bs=1M count=1 of=r 2>/dev/null; i=0; while [ $i -lt 512 ]; do cat r; i=$((i+1)); done >> x; echo > $out`,
        ),
      ]);
      const withOutput = await seconds(() => build(client, large));
      const without = await seconds(() => build(client, nothing));
      const files = await put(bench, client, [
        shell(
          `${tag}-files`,
          `mkdir $out; i=0; while [ $i -lt 5000 ]; do echo ${tag} $i > $out/$i; i=$((i+1)); done`,
        ),
      ]);
      const noFiles = await put(bench, client, [
        shell(
          `${tag}-nofiles`,
          `mkdir d; i=0; while [ $i -lt 5000 ]; do echo ${tag} $i > d/$i; i=$((i+1)); done; echo > $out`,
        ),
      ]);
      const withFiles = await seconds(() => build(client, files));
      const withoutFiles = await seconds(() => build(client, noFiles));
      return [
        {
          what: "after a builder that wrote 512 MiB",
          value: (512 * 1.048576) / Math.max(0.001, withOutput - without),
          unit: "MB/s",
        },
        {
          what: "after a builder that wrote 5,000 files",
          value: 5000 / Math.max(0.001, withFiles - withoutFiles),
          unit: "files/s",
        },
      ];
    },
  },
  {
    name: "64 sleeping builds",
    isLong: true,
    async run(bench) {
      const figures: Figure[] = [];
      for (const jobs of bench.name === "kiln" ? [8, 16] : [8]) {
        await bench.start([`--jobs=${jobs}`].filter(() => bench.name === "kiln"));
        const client = await bench.client();
        const tag = fresh("s");
        const all = Array.from({ length: 64 }, (_, index) =>
          shell(`${tag}-${index}`, `sleep 0.25; echo ${tag} ${index} > $out`),
        );
        const paths = await put(bench, client, all);
        const time = await seconds(() => build(client, paths));
        figures.push({
          what: `64 sleeping builds, ${jobs} jobs: speed-up`,
          value: (64 * 0.25) / time,
          unit: "x",
        });
      }
      return figures;
    },
  },
  {
    name: "start",
    async run(bench) {
      const times: number[] = [];
      for (let round = 0; round < 5; round++) times.push(await bench.start());
      times.sort((a, b) => a - b);
      await delay(300);
      return [
        { what: "daemon start to first answer", value: times[2]!, unit: "ms" },
        { what: "memory when idle", value: bench.memory("VmRSS"), unit: "MiB" },
      ];
    },
  },
];
