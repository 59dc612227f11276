// A store directory that cannot be written any more costs what would be written, and nothing else.
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseStoreDirectory } from "../../src/format/store-path.ts";
import type { StoreClient } from "../../src/rpc/client.ts";
import {
  bytesOf,
  exported,
  sample,
  streamOf,
  type Sample,
} from "../../src/store/store.test.support.ts";
import { hasCode } from "../../src/util/kiln-error.ts";
import { needsWorld } from "../support/world.ts";
import { SmallDisk } from "./small-disk.ts";

const directory = parseStoreDirectory("/opt/zb/store");
const [first, second, third] = ["first", "second", "third"].map((name) =>
  sample(directory, name, { entries: { file: name } }),
) as [Sample, Sample, Sample];

async function importing(client: StoreClient, object: Sample): Promise<string | undefined> {
  await client.importStream([streamOf(object)]);
  await client.barrier();
  const [report] = (await client.call("kiln.importReport", {})).reports;
  return report?.code ?? report?.status;
}

test(
  "a store that becomes read-only is read, and written again when it can be",
  { skip: needsWorld },
  async () => {
    await using disk = await SmallDisk.open(32);
    await using client = await disk.start();
    assert.equal(await importing(client, first), "imported");
    const store = "/opt/zb/store";
    // A mount on top: the daemon's open files stay as they are, all that is opened from now on is refused writing.
    await disk.world.run("mount", ["--bind", store, store]);
    await disk.world.run("mount", ["-o", "remount,bind,ro", store]);
    assert.equal(await importing(client, second), "disk.readOnly");
    await assert.rejects(
      client.call("kiln.delete", { paths: [first.storePath] }).then(async () => {
        // The row may be gone; then the files go at the next start.
        assert.equal(await client.call("zb.exists", { path: first.storePath }), false);
        throw new Error("removed");
      }),
      (error) => (error as Error).message === "removed" || hasCode(error, "rpc.failed"),
    );
    assert.equal(await client.call("zb.nop", {}), null);
    await disk.world.run("umount", [store]);
    for (const object of [first, second, third]) {
      const outcome = await importing(client, object);
      assert.ok(outcome === "imported" || outcome === "present", outcome);
      const bytes = await bytesOf(await client.export([object.storePath]));
      assert.ok(bytes.equals(streamOf(exported(object))));
    }
    assert.deepEqual(disk.faults(), []);
  },
);

test("a daemon on a read-only disk starts, and reads", { skip: needsWorld }, async () => {
  await using disk = await SmallDisk.open(32);
  {
    await using client = await disk.start();
    assert.equal(await importing(client, first), "imported");
  }
  await disk.kill();
  await disk.world.run("mount", ["-o", "remount,ro", "/opt"]);
  await using client = await disk.start();
  const bytes = await bytesOf(await client.export([first.storePath]));
  assert.ok(bytes.equals(streamOf(exported(first))));
  assert.equal(await importing(client, second), "disk.readOnly");
  await assert.rejects(
    client.call("kiln.delete", { paths: [first.storePath] }),
    /cannot be written/,
  );
  await assert.rejects(client.call("kiln.collect", { olderThan: 0 }), /cannot be written/);
  const { damaged } = await client.call("kiln.verify", { contents: true });
  assert.deepEqual(damaged, []);
});
