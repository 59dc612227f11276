// A disk without space costs the request at hand and nothing else.
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { derivationPath } from "../../src/format/derivation/print.ts";
import type { Derivation } from "../../src/format/derivation/derivation.ts";
import { parseStoreDirectory } from "../../src/format/store-path.ts";
import { makeZbStore } from "../../src/store/adopt/adopt.test.support.ts";
import type { StoreClient } from "../../src/rpc/client.ts";
import {
  bytesOf,
  chunksOf,
  exported,
  sample,
  streamOf,
  type Sample,
} from "../../src/store/store.test.support.ts";
import { finishedBuild } from "../support/builds.ts";
import { exportOf, shell } from "../support/derivations.ts";
import { needsWorld } from "../support/world.ts";
import { SmallDisk } from "./small-disk.ts";

const directory = parseStoreDirectory("/opt/zb/store");
const mebibyte = 1024 * 1024;
const small = sample(directory, "small", "small");
let names = 0;

/** An object of so many bytes that is like no other. */
function fresh(bytes: number): Sample {
  return sample(directory, `o${names++}`, Buffer.alloc(bytes, `${names} `));
}

async function importing(client: StoreClient, ...objects: Sample[]): Promise<string[]> {
  await client.importStream(chunksOf(streamOf(...objects)));
  await client.barrier();
  const { reports } = await client.call("kiln.importReport", {});
  return reports.map(({ status, code }) => code ?? status);
}

function build(script: string): Derivation {
  return shell(`b${names++}`, script, { env: { __buildSystemDeps: "/bin /usr /lib /lib64" } });
}

/** How the build ended, and why it failed. */
async function built(client: StoreClient, drv: Derivation): Promise<string> {
  try {
    const { buildID } = await client.call("zb.realize", { drvPath: [derivationPath(drv)] });
    const { status } = await finishedBuild(client, buildID);
    const { results } = await client.call("kiln.results", { buildID });
    return [status, ...results.map(({ failure }) => failure?.message ?? "")].join(" ").trim();
  } catch (error) {
    return String(error);
  }
}

/** Reads go on: an object is told of, and sent. */
async function reads(client: StoreClient): Promise<void> {
  assert.equal(await client.call("zb.exists", { path: small.storePath }), true);
  const bytes = await bytesOf(await client.export([small.storePath]));
  assert.ok(bytes.equals(streamOf(exported(small))));
}

describe("a full disk", { skip: needsWorld }, () => {
  test("refuses imports by name, and takes them when there is space again", async () => {
    await using disk = await SmallDisk.open(32);
    await using client = await disk.start();
    assert.deepEqual(await importing(client, small), ["imported"]);
    const [one, two, large] = [fresh(10), fresh(20_000), fresh(6 * mebibyte)];
    disk.fill();
    assert.deepEqual(await importing(client, one, two), ["disk.full", "disk.full"]);
    await reads(client);
    disk.fill(4 * mebibyte);
    assert.deepEqual(await importing(client, large), ["disk.full"]);
    assert.ok(disk.free > 3 * mebibyte, "what did not fit takes no space");
    await reads(client);
    assert.deepEqual(await importing(client, one), ["imported"], "a small one fits beside");
    disk.empty();
    assert.deepEqual(disk.faults(), []);
    assert.deepEqual(await importing(client, two, large), ["imported", "imported"]);
    assert.deepEqual(disk.faults(), []);
    assert.deepEqual(readdirSync(disk.world.path("/opt/zb/store/.kiln/trash")), []);
  });

  test("fails builds, for their output and for their log, and leaves nothing of them", async () => {
    await using disk = await SmallDisk.open(32);
    await using client = await disk.start();
    assert.deepEqual(await importing(client, small), ["imported"]);
    const large = build("head -c 8000000 /dev/zero > $out");
    const log = build("head -c 8000000 /dev/zero | tr '\\0' x; echo done > $out");
    const little = build("echo little > $out");
    await client.importStream([exportOf([large])]);
    await client.importStream([exportOf([log])]);
    await client.importStream([exportOf([little])]);
    await client.barrier();
    for (const drv of [large, log]) {
      disk.fill(4 * mebibyte);
      assert.match(await built(client, drv), /^(fail|error) .*(full|ENOSPC)/);
      await reads(client);
    }
    disk.fill();
    assert.match(await built(client, little), /the disk is full/);
    await reads(client);
    disk.empty();
    assert.deepEqual(readdirSync(disk.world.path("/opt/build")), []);
    // What could not be written down is, when there is space.
    assert.equal((await importing(client, fresh(10))).at(-1), "imported");
    await disk.sound();
    for (const drv of [little, large, log]) assert.equal(await built(client, drv), "success");
    assert.deepEqual(disk.faults(), []);
  });

  test("keeps nobody from deleting, collecting and verifying, which makes space", async () => {
    await using disk = await SmallDisk.open(32);
    await using client = await disk.start();
    await client.call("kiln.hello", {});
    const [first, second, third] = [fresh(2 * mebibyte), fresh(2 * mebibyte), fresh(2 * mebibyte)];
    assert.deepEqual(await importing(client, small, first, second, third), [
      "imported",
      "imported",
      "imported",
      "imported",
    ]);
    await client.call("kiln.addRoot", { name: "small", path: small.storePath });
    disk.fill();
    const { deleted } = await client.call("kiln.delete", { paths: [first.storePath] });
    assert.deepEqual(deleted, [first.storePath]);
    await spaced(disk, mebibyte);
    disk.fill();
    const place = disk.world.path(`/opt/zb/store/${second.storePath.split("/").at(-1)}`);
    chmodSync(place, 0o644);
    const found = await client.call("kiln.verify", { contents: true, repair: true });
    assert.deepEqual(
      found.damaged.map(({ path, kind, repair }) => [path, kind, repair]),
      [[second.storePath, "metadata", "repaired"]],
    );
    disk.fill();
    chmodSync(place, 0o644);
    writeFileSync(place, "short");
    const worse = await client.call("kiln.verify", { contents: true, repair: true });
    assert.deepEqual(
      worse.damaged.map(({ path, kind, repair }) => [path, kind, repair]),
      [[second.storePath, "contents", "quarantined"]],
    );
    disk.fill();
    // The sender's connection keeps what it has sent.
    await client.close();
    const { collected } = await collectAlone(disk);
    assert.deepEqual(collected.toSorted(), [second.storePath, third.storePath].toSorted());
    await spaced(disk, mebibyte);
    await using other = await disk.connect();
    await reads(other);
    assert.deepEqual(await importing(other, fresh(mebibyte / 2)), ["imported"]);
    disk.empty();
    assert.deepEqual(disk.faults(), []);
  });

  test("does not keep a daemon from starting, to read and to make space", async () => {
    await using disk = await SmallDisk.open(32);
    {
      await using client = await disk.start();
      assert.deepEqual(await importing(client, small, fresh(4 * mebibyte)), [
        "imported",
        "imported",
      ]);
      await client.call("kiln.addRoot", { name: "small", path: small.storePath });
      // Something is under way at its death.
      await client
        .importStream([exported(fresh(100)), exported(fresh(3 * mebibyte)).subarray(0, 2.5e6)])
        .catch(() => {});
      disk.fill();
      await disk.kill();
    }
    disk.fill();
    await using client = await disk.start();
    await reads(client);
    // The rest of what was sent to the dead one goes, which takes a moment.
    await spaced(disk, mebibyte / 4);
    disk.fill();
    assert.deepEqual(await importing(client, fresh(5000)), ["disk.full"]);
    const { count } = await client.call("kiln.collect", { olderThan: 0 });
    assert.ok(count >= 1, `${count} objects`);
    await spaced(disk, mebibyte);
    assert.deepEqual(await importing(client, fresh(5000)), ["imported"]);
    disk.empty();
    await disk.kill();
    await using last = await disk.start();
    await reads(last);
    assert.deepEqual(disk.faults(), []);
  });

  test("does not stop an adoption half way", async () => {
    await using disk = await SmallDisk.open(32);
    const folder = join(disk.world.directory, "zb");
    mkdirSync(folder);
    await makeZbStore(folder);
    await disk.world.run("cp", ["-a", folder, "/opt/zb"]);
    disk.fill();
    const command = ["store", "adopt", "--store=/opt/zb/store", "--zb-db=/opt/zb/db.sqlite"];
    const refused = await disk.run(...command);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /full|ENOSPC/);
    disk.empty();
    const adopted = await disk.run(...command);
    assert.equal(adopted.code, 0, adopted.stderr);
  });

  test("is named when a store is to be made on it, and leaves no half of one", async () => {
    await using disk = await SmallDisk.open(32);
    disk.fill();
    const flags = ["--db=/opt/zb/var/zb/db.sqlite", "--sandbox=false", "--build-users-group="];
    const ended = await disk.run("serve", `--store-socket=${disk.world.directory}/none`, ...flags);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /full/);
    disk.empty();
    await using client = await disk.start();
    assert.deepEqual(await importing(client, small), ["imported"]);
    assert.ok(existsSync(disk.world.path("/opt/zb/store")));
    assert.deepEqual(disk.faults(), []);
  });
});

/** Waits for files that are removed in the background. */
async function spaced(disk: SmallDisk, bytes: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (disk.free < bytes) {
    assert.ok(performance.now() < deadline, `${disk.free} bytes are free`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function collectAlone(disk: SmallDisk): Promise<{ collected: readonly string[] }> {
  await using client = await disk.connect();
  const { removed } = await client.call("kiln.collect", { olderThan: 0 });
  return { collected: removed.map(({ path }) => path) };
}
