/** What clients do to a daemon for a long time. Each turn has a connection of its own, and checks what it gets. */
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { inputPlaceholder } from "../../src/format/derivation/placeholders.ts";
import { derivationPath } from "../../src/format/derivation/print.ts";
import type { StorePath } from "../../src/format/store-path.ts";
import type { StoreClient } from "../../src/rpc/client.ts";
import { shell } from "../../test/support/derivations.ts";
import { build, fresh, notYet, put, receive, send } from "../job.ts";
import { closure, randomObject, streamOf } from "../objects.ts";
import type { Bench } from "../peer.ts";

export interface Work {
  readonly name: string;
  /** Milliseconds between the end of a turn and the next one. */
  readonly rest: number;
  run(bench: Bench): Promise<void>;
}

/** A work that is done over a connection. */
function work(
  name: string,
  rest: number,
  run: (client: StoreClient, bench: Bench) => Promise<void>,
): Work {
  return {
    name,
    rest,
    async run(bench) {
      await using client = await bench.connect();
      await run(client, bench);
    },
  };
}

export const works: readonly Work[] = [
  work("import and export a closure", 400, async (client, bench) => {
    const objects = closure("chain", 20);
    await send(bench, client, objects);
    const bytes = await receive(client, [objects.at(-1)!.path]);
    const sent = objects.reduce((sum, object) => sum + object.bytes.length, 0);
    if (bytes < sent) throw new Error(`${bytes} bytes came back of ${sent}`);
  }),
  work("import a tree and delete it", 1500, async (client, bench) => {
    const tree = randomObject(
      fresh("tree"),
      Array.from({ length: 200 }, () => 2000),
    );
    await send(bench, client, [tree]);
    await client.call("kiln.delete", { paths: [tree.path] });
  }),
  work("import 32 MiB", 3000, async (client, bench) => {
    await send(bench, client, [randomObject(fresh("large"), 32 * 1024 * 1024)]);
  }),
  work("break off an import", 1000, async (client, bench) => {
    const [first] = streamOf([randomObject(fresh("broken"), 1_000_000)]);
    const sending = client.importStream(
      (function* () {
        yield first!.subarray(0, 100_000);
        throw new Error("enough");
      })(),
    );
    await sending.catch(() => {});
    // The daemon is none the worse for it.
    await using other = await bench.connect();
    await other.call("zb.nop", {});
  }),
  work("break off an export", 1000, async (client, bench) => {
    const large = randomObject(fresh("left"), 4 * 1024 * 1024);
    await send(bench, client, [large]);
    for await (const chunk of await client.export([large.path])) if (chunk.length > 0) break;
  }),
  work("build a chain", 500, async (client, bench) => {
    const tag = fresh("chain");
    const first = shell(`${tag}-1`, `echo ${tag} > $out`);
    const input = derivationPath(first);
    const second = shell(`${tag}-2`, "cat $input > $out", {
      env: { input: inputPlaceholder(input, "out") },
      inputs: [input],
    });
    const paths = await put(bench, client, [first, second]);
    await build(client, paths.slice(-1));
    await build(client, paths); // nothing is left to do
  }),
  work("fail to build", 1500, async (client, bench) => {
    const [path] = await put(bench, client, [shell(fresh("failing"), "echo why >&2; exit 7")]);
    await endOf(client, path!, "fail");
  }),
  work("cancel a build", 1000, async (client, bench) => {
    const script = "(sleep 100 & setsid sleep 100 &) ; sleep 100";
    const [path] = await put(bench, client, [shell(fresh("cancelled"), script)]);
    const { buildID } = await client.call("zb.realize", { drvPath: [path!] });
    await delay(Math.random() * 300);
    await client.call("zb.cancelBuild", { buildID });
    await ended(client, buildID);
  }),
  work("follow a log", 1000, async (client, bench) => {
    const lines = 50;
    const script = `i=0; while [ $i -lt ${lines} ]; do echo line $i; i=$((i+1)); sleep 0.01; done; echo > $out`;
    const [path] = await put(bench, client, [shell(fresh("talking"), script)]);
    const { buildID } = await client.call("zb.realize", { drvPath: [path!] });
    const [log] = await Promise.all([
      readLog(client, buildID, path!),
      client.watch(buildID, () => {}, { logs: "tail" }),
    ]);
    const wanted = Array.from({ length: lines }, (_, index) => `line ${index}\n`).join("");
    if (log !== wanted) throw new Error(`the log is ${JSON.stringify(log.slice(-100))}`);
  }),
  work("leave while following", 1500, async (client, bench) => {
    const script =
      "i=0; while [ $i -lt 20 ]; do echo $i; i=$((i+1)); sleep 0.02; done; echo > $out";
    const [path] = await put(bench, client, [shell(fresh("left"), script)]);
    const { buildID } = await client.call("zb.realize", { drvPath: [path!] });
    const watching = client.watch(buildID, () => {}, { logs: "all" }).catch(() => {});
    await delay(100);
    await client.close();
    await watching;
    await using other = await bench.connect();
    await ended(other, buildID);
  }),
  work("ask 200 questions", 500, async (client) => {
    const { objects } = await client.call("kiln.objects", { limit: 200 });
    await Promise.all(objects.map(({ path }) => client.call("zb.info", { path })));
  }),
  work("collect garbage", 20_000, async (client) => {
    await client.call("kiln.collect", { olderThan: 10_000 });
  }),
];

/** The same kinds of things without the daemon: how fast the machine is meanwhile, with all that others do on it. */
export const yardstick: Work = {
  name: "the machine itself",
  rest: 2000,
  async run() {
    const folder = mkdtempSync(join(tmpdir(), "kiln-yardstick-"));
    const file = openSync(join(folder, "file"), "w");
    for (let round = 0; round < 4; round++) {
      spawnSync("/bin/true");
      const bytes = randomBytes(1_000_000);
      createHash("sha256").update(bytes).digest();
      writeSync(file, bytes);
      fsyncSync(file);
      await delay(0);
    }
    closeSync(file);
    rmSync(folder, { recursive: true });
  },
};

async function endOf(client: StoreClient, drvPath: StorePath, wanted: string): Promise<void> {
  const { buildID } = await client.call("zb.realize", { drvPath: [drvPath] });
  const status = await ended(client, buildID);
  if (status !== wanted) throw new Error(`the build ended with ${status}, not ${wanted}`);
}

async function ended(client: StoreClient, buildID: string): Promise<string> {
  for (;;) {
    const { status } = await client.call("zb.getBuild", { buildID });
    if (status !== "active") return status;
    await delay(10);
  }
}

async function readLog(client: StoreClient, buildID: string, drvPath: StorePath): Promise<string> {
  let log = "";
  for (;;) {
    const asked = { buildID, drvPath, rangeStart: log.length };
    const { text = "", eof } = await client.call("zb.readLog", asked).catch(notYet);
    log += text;
    if (eof) return log;
    if (text === "") await delay(10);
  }
}
