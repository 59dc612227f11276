/** Jobs whose size can be chosen. */
import { DatabaseSync } from "node:sqlite";
import type { Derivation } from "../../src/format/derivation/derivation.ts";
import { inputPlaceholder } from "../../src/format/derivation/placeholders.ts";
import { derivationPath } from "../../src/format/derivation/print.ts";
import type { StorePath } from "../../src/format/store-path.ts";
import { shell } from "../../test/support/derivations.ts";
import { build, fresh, notYet, put, receive, seconds, send } from "../job.ts";
import { closure, type Packed, randomObject } from "../objects.ts";
import type { Bench } from "../peer.ts";
import { registerObjects } from "../registered.ts";

export interface Growing {
  readonly name: string;
  /** The smallest size. */
  readonly size: number;
  readonly isSandboxed?: boolean;
  /** Prepares something of this size and measures. The daemon has a new store. */
  run(bench: Bench, size: number): Promise<Cost>;
}

/** In milliseconds. */
export interface Cost {
  readonly took: number;
  /** Of the daemon and what it starts. */
  readonly processorTime: number;
}

async function costOf(bench: Bench, work: () => Promise<unknown>): Promise<Cost> {
  const before = bench.processorTime();
  const took = (await seconds(work)) * 1000;
  return { took, processorTime: bench.processorTime() - before };
}

const smallObjects = (count: number): Packed[] =>
  Array.from({ length: count }, () => randomObject(fresh("small"), 1000));

export const growing: readonly Growing[] = [
  {
    name: "import objects",
    size: 500,
    async run(bench, size) {
      const client = await bench.client();
      const objects = smallObjects(size);
      return await costOf(bench, () => send(bench, client, objects));
    },
  },
  {
    name: "export a chain of objects",
    size: 500,
    async run(bench, size) {
      const client = await bench.client();
      const objects = closure("chain", size);
      await send(bench, client, objects);
      return await costOf(bench, () => receive(client, [objects.at(-1)!.path]));
    },
  },
  {
    name: "delete a chain of objects",
    size: 500,
    async run(bench, size) {
      const client = await bench.client();
      const objects = closure("chain", size);
      await send(bench, client, objects);
      const { path } = objects[0]!;
      return await costOf(bench, () =>
        client.call("kiln.delete", { paths: [path], recursive: true }),
      );
    },
  },
  {
    name: "import a tree of files",
    size: 1000,
    async run(bench, size) {
      const client = await bench.client();
      const tree = randomObject(
        fresh("tree"),
        Array.from({ length: size }, () => 1000),
      );
      return await costOf(bench, () => send(bench, client, [tree]));
    },
  },
  {
    name: "import and export an object with references",
    size: 500,
    async run(bench, size) {
      const client = await bench.client();
      const objects = smallObjects(size);
      await send(bench, client, objects);
      const paths = objects.map(({ path }) => path);
      const top = randomObject(fresh("top"), 1000, paths);
      return await costOf(bench, async () => {
        await send(bench, client, [top]);
        await receive(client, [top.path]);
      });
    },
  },
  {
    name: "mark of a collection, registered objects",
    size: 50_000,
    async run(bench, size) {
      const client = await withRegistered(bench, size);
      return await costOf(bench, () =>
        client.call("kiln.collect", { dryRun: true, olderThan: 3_600_000 }),
      );
    },
  },
  {
    name: "build derivations beside each other",
    size: 50,
    async run(bench, size) {
      const client = await bench.client();
      const paths = await put(bench, client, wide(size));
      return await costOf(bench, () => build(client, paths));
    },
  },
  {
    name: "build a chain of derivations",
    size: 25,
    async run(bench, size) {
      const client = await bench.client();
      const paths = await put(bench, client, chain(size));
      return await costOf(bench, () => build(client, paths.slice(-1)));
    },
  },
  {
    name: "a graph of derivations with nothing to do",
    size: 100,
    async run(bench, size) {
      const client = await bench.client();
      const paths = await put(bench, client, chain(size));
      await build(client, paths.slice(-1));
      await build(client, paths.slice(-1));
      return await costOf(bench, () => build(client, paths.slice(-1)));
    },
  },
  {
    name: "a builder with inputs",
    size: 500,
    run: buildWithInputs,
  },
  {
    name: "a builder with inputs, in the sandbox",
    size: 250,
    isSandboxed: true,
    run: buildWithInputs,
  },
  {
    name: "an output that mentions its inputs",
    size: 250,
    async run(bench, size) {
      const { client, env, top } = await withInputs(bench, size);
      const script = `cat $top > $out; cat $top $top $top $top >> $out`;
      const [path] = await put(bench, client, [sourced(shell(fresh("m"), script, { env }), top)]);
      return await costOf(bench, () => build(client, [path!]));
    },
  },
  {
    name: "write and read a log, in lines of 100 bytes",
    size: 50_000,
    async run(bench, size) {
      const client = await bench.client();
      const line = "x".repeat(99);
      const script = `i=0; while [ $i -lt ${size / 50} ]; do echo "$lines"; i=$((i+1)); done; echo > $out`;
      const lines = Array.from({ length: 50 }, () => line).join("\n");
      const [path] = await put(bench, client, [shell(fresh("log"), script, { env: { lines } })]);
      return await costOf(bench, async () => {
        const { buildID } = await client.call("zb.realize", { drvPath: [path!] });
        let length = 0;
        for (;;) {
          const asked = { buildID, drvPath: path!, rangeStart: length };
          const { text = "", eof } = await client.call("zb.readLog", asked).catch(notYet);
          length += text.length;
          if (eof) break;
        }
        if (length !== size * 100) throw new Error(`the log has ${length} bytes`);
      });
    },
  },
  {
    name: "20 builds and a list of them, after so many builds before",
    size: 5000,
    async run(bench, size) {
      await bench.stop();
      recordBuilds(bench.database, size);
      await bench.start();
      return await twentyBuilds(bench);
    },
  },
  {
    name: "20 builds in a store of registered objects",
    size: 50_000,
    async run(bench, size) {
      await withRegistered(bench, size);
      return await twentyBuilds(bench);
    },
  },
];

async function withRegistered(bench: Bench, size: number) {
  await bench.stop();
  registerObjects(bench.database, size);
  // As it ends, the first one gathers the statistics that the second one's queries are planned by.
  await bench.start();
  await bench.start();
  return await bench.client();
}

async function twentyBuilds(bench: Bench): Promise<Cost> {
  const client = await bench.client();
  await build(client, await put(bench, client, wide(4)));
  const paths = await put(bench, client, wide(20));
  return await costOf(bench, async () => {
    await build(client, paths);
    await client.call("kiln.builds", { limit: 25 });
  });
}

async function buildWithInputs(bench: Bench, size: number): Promise<Cost> {
  const { client, env, top } = await withInputs(bench, size);
  const [path] = await put(bench, client, [
    sourced(shell(fresh("in"), "echo > $out", { env }), top),
  ]);
  return await costOf(bench, () => build(client, [path!]));
}

/** An object that mentions so many others. */
async function withInputs(bench: Bench, size: number) {
  const client = await bench.client();
  const objects = smallObjects(size);
  const paths = objects.map(({ path }) => path);
  const top = randomObject(fresh("top"), 1000, paths);
  await send(bench, client, [...objects, top]);
  return { client, env: { top: top.path }, top: top.path };
}

function sourced(derivation: Derivation, source: StorePath): Derivation {
  return { ...derivation, inputSources: [source] };
}

function wide(count: number): Derivation[] {
  const tag = fresh("wide");
  return Array.from({ length: count }, (_, n) => shell(`${tag}-${n}`, `echo ${tag} ${n} > $out`));
}

function chain(count: number): Derivation[] {
  const tag = fresh("chain");
  const made: Derivation[] = [];
  for (let n = 0; n < count; n++) {
    const before = made.at(-1);
    const input = before && derivationPath(before);
    const env = input === undefined ? {} : { input: inputPlaceholder(input, "out") };
    const inputs = input === undefined ? [] : [input];
    made.push(shell(`${tag}-${n}`, `echo ${tag} ${n} > $out`, { env, inputs }));
  }
  return made;
}

/** Builds that are over, each of ten derivations, as rows of the database. */
function recordBuilds(file: string, count: number): void {
  using sql = new DatabaseSync(file, { timeout: 5000 });
  sql.exec("pragma synchronous = off; begin");
  const now = Date.now() - 3_600_000;
  const saveBuild = sql.prepare(
    "insert into builds (id, kind, state, started_at, ended_at) values (?, 'realize', 'built', ?, ?)",
  );
  const saveTarget = sql.prepare(
    "insert into build_targets (build, position, name, derivation) values (?, 0, ?, ?)",
  );
  const saveResult = sql.prepare(
    `insert into results (build, derivation, name, state, started_at, ended_at) values (?, ?, ?, 'built', ?, ?)`,
  );
  for (let n = 0; n < count; n++) {
    const id = `00000000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
    saveBuild.run(id, now + n, now + n + 1);
    for (let m = 0; m < 10; m++) {
      const drvPath = `/opt/zb/store/${String(m).padStart(32, "0")}-before-${m}.drv`;
      if (m === 0) saveTarget.run(id, `before-${m}`, drvPath);
      saveResult.run(id, drvPath, `before-${m}`, now + n, now + n + 1);
    }
  }
  sql.exec("commit");
}
