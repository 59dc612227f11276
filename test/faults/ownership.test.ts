// Whose a store and a socket are: two daemons, dead ones, and objects that are nobody's.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parseStoreDirectory } from "../../src/format/store-path.ts";
import { StoreClient } from "../../src/rpc/client.ts";
import { exported, sample, streamOf } from "../../src/store/store.test.support.ts";
import { hasCode } from "../../src/util/kiln-error.ts";
import { Place, until } from "../support/cli.ts";

const flags = ["serve", "--sandbox=false", "--build-users-group="];

/** A store with an object in it, whose daemon has ended. */
async function withObject(place: Place): Promise<ReturnType<typeof sample>> {
  const daemon = await place.serve();
  const object = sample(parseStoreDirectory(place.store), "object", { entries: { a: "a" } });
  await using client = await StoreClient.connect(place.socket);
  await client.importStream([streamOf(object)]);
  await client.barrier();
  await client.close();
  daemon.process.kill("SIGTERM");
  await daemon.ended;
  return object;
}

describe("a daemon on objects that its database does not know", () => {
  test("deletes nothing, says so, and what to do", async () => {
    await using place = new Place();
    mkdirSync(place.store);
    const names = Array.from({ length: 50 }, (_, i) => `${String(i).padStart(32, "0")}-object`);
    for (const name of [...names, "README"]) writeFileSync(join(place.store, name), name);
    for (let round = 0; round < 2; round++) {
      const daemon = await place.serve();
      await using client = await StoreClient.connect(place.socket);
      await client.call("kiln.collect", { olderThan: 0 });
      const { foreign } = await client.call("kiln.verify", { repair: true });
      assert.equal(foreign.length, names.length + 1);
      await client.close();
      daemon.process.kill("SIGKILL");
      const { stderr } = await daemon.ended;
      const isNew = round === 0;
      assert.equal(/50 objects lie in .*left alone.*store adopt.*rebuild-db/.test(stderr), isNew);
      assert.deepEqual(place.objects().toSorted(), [...names, "README"].toSorted());
    }
  });

  test("does not start with a database that is missing, empty, another's or damaged, and deletes nothing", async () => {
    await using place = new Place();
    const object = await withObject(place);
    const database = join(place.directory, "var/kiln/db.sqlite");
    const before = readdirSync(place.store).toSorted();
    const faults: Record<string, { db: string; pattern: RegExp }> = {};
    const at = (name: string): string => join(place.directory, name);
    faults["missing"] = { db: at("typo.sqlite"), pattern: /is missing.*rebuild-db/s };
    writeFileSync(at("empty.sqlite"), "");
    faults["empty"] = { db: at("empty.sqlite"), pattern: /is empty.*rebuild-db/s };
    writeFileSync(
      at("text.sqlite"),
      "this is not a database, but it is long enough to be one".repeat(100),
    );
    faults["no database"] = { db: at("text.sqlite"), pattern: /damaged.*rebuild-db/s };
    cpSync(database, at("cut.sqlite"));
    writeFileSync(at("cut.sqlite"), Buffer.alloc(4096, 7), { flag: "r+" });
    faults["damaged"] = { db: at("cut.sqlite"), pattern: /damaged.*rebuild-db/s };
    for (const [what, { db, pattern }] of Object.entries(faults)) {
      const ended = await place.run([...flags, `--db=${db}`]);
      assert.equal(ended.code, 1, what);
      assert.match(ended.stderr, pattern, what);
      assert.deepEqual(readdirSync(place.store).toSorted(), before, what);
    }
    renameSync(database, `${database}.lost`);
    const rebuilt = await place.run(["store", "rebuild-db"]);
    assert.equal(rebuilt.code, 0, rebuilt.stderr);
    await place.serve();
    await using client = await StoreClient.connect(place.socket);
    assert.equal(await client.call("zb.exists", { path: object.storePath }), true);
  });
});

describe("two daemons", () => {
  test("the second is refused within a second, with the process id of the first", async () => {
    await using place = new Place();
    const daemon = await place.serve();
    const quick = async (args: string[], pattern: RegExp): Promise<void> => {
      const times: number[] = [];
      for (let round = 0; round < 3; round++) {
        const start = performance.now();
        const ended = await place.run([...flags, ...args]);
        times.push(performance.now() - start);
        assert.equal(ended.code, 1);
        assert.match(ended.stderr, pattern);
      }
      // A machine that is busy may be late once or twice.
      assert.ok(Math.min(...times) < 1000, `refused after ${times.join(", ")} ms`);
    };
    await quick(
      [],
      new RegExp(`^kiln: error: process ${daemon.process.pid}, .* listens at .*server\\.sock`),
    );
    const locked = new RegExp(`in use by process ${daemon.process.pid} `);
    await quick([`--store-socket=${place.directory}/other.sock`], locked);
    await quick(
      [`--store-socket=${place.directory}/other.sock`, `--db=${place.directory}/other/db`],
      locked,
    );
    assert.ok(existsSync(place.socket));
    await using client = await StoreClient.connect(place.socket);
    assert.equal((await client.hello())?.pid, daemon.process.pid);
  });

  test("one that is killed with clients connected is told to them, and the next one takes its place", async () => {
    await using place = new Place();
    const daemon = await place.serve();
    const object = sample(parseStoreDirectory(place.store), "object", Buffer.alloc(3_000_000, "x"));
    const clients = await Promise.all(
      Array.from({ length: 5 }, () => StoreClient.connect(place.socket)),
    );
    const [asking, importing, idle, exporting, watching] = clients as [
      StoreClient,
      StoreClient,
      StoreClient,
      StoreClient,
      StoreClient,
    ];
    await exporting.importStream([streamOf(object)]);
    await exporting.barrier();
    const half = exported(object).subarray(0, 100_000);
    const ends = [
      asking
        .call("zb.readLog", { buildID: "none", drvPath: object.storePath })
        .catch(() => asking.closed.then(() => asking.call("zb.nop", {}))),
      importing.importStream(endless(half)),
      idle.closed.then(() => idle.call("zb.nop", {})),
      exporting.closed.then(() => exporting.call("zb.nop", {})),
      watching.closed.then(() => watching.barrier()),
    ].map(async (end) => {
      await assert.rejects(
        end,
        (error) => hasCode(error, "socket.interrupted") || hasCode(error, "socket.closed"),
      );
    });
    daemon.process.kill("SIGKILL");
    await daemon.ended;
    await Promise.all(ends);
    await assert.rejects(StoreClient.connect(place.socket), (error) =>
      hasCode(error, "socket.refused"),
    );
    const next = await place.serve();
    await using again = await StoreClient.connect(place.socket);
    assert.equal((await again.hello())?.pid, next.process.pid);
    assert.equal(await again.call("zb.exists", { path: object.storePath }), true);
    // FIFOs for builders are the next one's own.
    const left = (): string[] =>
      readdirSync(join(place.store, ".kiln/tmp")).filter((name) => !name.startsWith("fifo-"));
    await until(next, () => left().length === 0);
  });
});

/** The beginning of a stream, and then nothing until the connection is lost. */
async function* endless(beginning: Buffer): AsyncGenerator<Buffer> {
  yield beginning;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    yield Buffer.alloc(1);
  }
}
