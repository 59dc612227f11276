// Every method that writes, on a disk that is full before it begins, and on disks that become full in the middle of it.
import assert from "node:assert/strict";
import { chmodSync, lstatSync, readdirSync, symlinkSync, unlinkSync, writeFileSync } from "node:fs";
import { describe, test } from "node:test";
import { printObjectInfo } from "../../src/format/object-info.ts";
import type { StoreClient } from "../../src/rpc/client.ts";
import {
  bytesOf,
  exported,
  sample,
  streamOf,
  type Sample,
} from "../../src/store/store.test.support.ts";
import { KilnError } from "../../src/util/kiln-error.ts";
import { finishedBuild } from "../support/builds.ts";
import { needsWorld } from "../support/world.ts";
import { SmallDisk } from "./small-disk.ts";
import { directory, fresh, newName, Stage } from "./small-disk-stage.ts";

const kibibyte = 1024;
/** So much space is left for the operation to begin with, in KiB. */
const rooms = [0, 4, 16, 64, 256];
const small = sample(directory, "small", "small");

interface Row {
  readonly title: string;
  /** It makes space, or ends something: it succeeds whatever the room. */
  readonly always?: boolean;
  /** What is not right with the store before it has succeeded. */
  readonly leaves?: RegExp;
  /** Prepares it while there is space; for every room anew. */
  readonly prepare: (stage: Stage) => Promise<() => Promise<unknown>>;
}

function many(count: number): Sample[] {
  return Array.from({ length: count }, () => {
    const name = newName("m");
    return sample(directory, name, { entries: { file: name, link: { target: name } } });
  });
}

const rows: readonly Row[] = [
  {
    title: "an import of a large file",
    prepare: async (stage) => {
      const object = fresh(700);
      return async () => await stage.take(object);
    },
  },
  {
    title: "an import of many small trees",
    prepare: async (stage) => {
      const objects = many(60);
      return async () => await stage.take(...objects);
    },
  },
  {
    title: "kiln.addRoot of a name",
    prepare: async ({ client }) => {
      const name = newName("root");
      return async () => await client.call("kiln.addRoot", { name, path: small.storePath });
    },
  },
  {
    title: "kiln.removeRoot",
    always: true,
    prepare: async ({ client }) => {
      const name = newName("root");
      await client.call("kiln.addRoot", { name, path: small.storePath });
      return async () => await client.call("kiln.removeRoot", { name });
    },
  },
  {
    title: "kiln.register",
    leaves: /^stray /,
    prepare: async ({ client, disk }) => {
      const name = newName("r");
      const object = sample(directory, name, name);
      writeFileSync(disk.world.path(object.storePath), name, { mode: 0o444 });
      return async () => {
        await client.call("kiln.register", { info: printObjectInfo(object) });
      };
    },
  },
  {
    title: "kiln.delete",
    always: true,
    prepare: async (stage) => {
      const object = fresh(100);
      await stage.take(object);
      return async () => {
        const { deleted } = await stage.client.call("kiln.delete", { paths: [object.storePath] });
        assert.deepEqual(deleted, [object.storePath]);
      };
    },
  },
  {
    title: "kiln.delete with what refers to it",
    always: true,
    prepare: async (stage) => {
      const low = fresh(10);
      const high = fresh(10, [low.storePath]);
      await stage.take(low, high);
      return async () => {
        const params = { paths: [low.storePath], recursive: true };
        const { deleted } = await stage.client.call("kiln.delete", params);
        assert.deepEqual(deleted, [high.storePath, low.storePath]);
      };
    },
  },
  {
    title: "kiln.collect, with a link that is gone among the roots",
    always: true,
    prepare: async (stage) => {
      await using other = await stage.disk.connect();
      const object = fresh(100);
      await new Stage(stage.disk, other).take(object);
      const link = `/opt/${newName("link")}`;
      symlinkSync(object.storePath, stage.disk.world.path(link));
      await other.call("kiln.addRoot", { name: link });
      unlinkSync(stage.disk.world.path(link));
      return async () => {
        const { removed } = await stage.client.call("kiln.collect", { olderThan: 0 });
        assert.ok(removed.some(({ path }) => path === object.storePath));
      };
    },
  },
  {
    title: "zb.realize",
    prepare: async (stage) => {
      const drvPath = [await stage.define("head -c 300000 /dev/zero > $out")];
      return async () => await stage.build(stage.client.call("zb.realize", { drvPath }));
    },
  },
  {
    title: "zb.realize of a builder that writes a long log and keeps its directory",
    prepare: async (stage) => {
      const drv = await stage.define("head -c 300000 /dev/zero | tr '\\0' x; echo done > $out");
      const params = { drvPath: [drv], keepFailed: true };
      return async () => await stage.build(stage.client.call("zb.realize", params));
    },
  },
  {
    title: "zb.expand",
    prepare: async (stage) => {
      const input = await stage.define("echo input > $out");
      return async () => await stage.build(stage.client.call("zb.expand", { drvPath: input }));
    },
  },
  {
    title: "zb.cancelBuild",
    always: true,
    prepare: async (stage) => {
      const drvPath = [await stage.define("while :; do sleep 0.1; done")];
      const { buildID } = await stage.client.call("zb.realize", { drvPath });
      return async () => {
        await stage.client.call("zb.cancelBuild", { buildID });
        await finishedBuild(stage.client, buildID);
      };
    },
  },
  {
    title: "kiln.verify that mends modes",
    always: true,
    prepare: async (stage) => {
      const object = fresh(10);
      await stage.take(object);
      chmodSync(stage.place(object.storePath), 0o644);
      return async () => {
        const params = { contents: true, repair: true };
        const { damaged } = await stage.client.call("kiln.verify", params);
        assert.deepEqual(
          damaged.map(({ repair }) => repair),
          ["repaired"],
        );
      };
    },
  },
  {
    title: "kiln.verify that builds a damaged object again",
    leaves: /ENOENT|another NAR hash|bytes, not|has the time/,
    prepare: async (stage) => {
      const drvPath = await stage.define(
        `echo ${newName("x")} > $out; head -c 300000 /dev/zero >> $out`,
      );
      const { buildID } = await stage.client.call("zb.realize", { drvPath: [drvPath] });
      await finishedBuild(stage.client, buildID);
      const { outputs } = await stage.client.call("zb.getBuildResult", { buildID, drvPath });
      const path = outputs[0]?.path;
      assert.ok(path);
      chmodSync(stage.place(path), 0o644);
      writeFileSync(stage.place(path), "other");
      return async () => {
        const params = { contents: true, repair: true };
        const { damaged } = await stage.client.call("kiln.verify", params);
        for (const { repair, failure = "" } of damaged) {
          if (repair === "repaired") continue;
          throw new KilnError(/full|ENOSPC/.test(failure) ? "disk.full" : "none", failure, {
            hint: failure,
          });
        }
        assert.equal(lstatSync(stage.place(path)).mode & 0o7777, 0o444);
      };
    },
  },
];

describe("on a disk that is full, or becomes it,", { skip: needsWorld }, () => {
  for (const row of rows) {
    const claim = row.always === true ? "succeeds" : "fails clearly, and succeeds with space";
    test(`${row.title} ${claim}`, async () => await perform(row));
  }
});

async function perform({ prepare, leaves, always = false }: Row): Promise<void> {
  await using disk = await SmallDisk.open(16);
  await using client = await disk.start();
  const stage = new Stage(disk, client);
  await stage.take(small);
  const failed: number[] = [];
  for (const room of rooms) {
    const operation = await prepare(stage);
    disk.fill(room * kibibyte);
    const failure = await failureOf(operation);
    await reads(client);
    disk.empty();
    // What could not be written down is, with the next that is.
    await stage.take(fresh(1));
    await disk.sound(failure === undefined ? undefined : leaves);
    if (failure === undefined) continue;
    assertClear(failure);
    failed.push(room);
    await operation();
    await disk.sound();
  }
  if (always) assert.deepEqual(failed, []);
  else assert.ok(failed.length > 1, `it failed in the middle, too: ${failed.join(" ")}`);
  const { damaged, foreign } = await client.call("kiln.verify", { contents: true });
  assert.deepEqual({ damaged, foreign }, { damaged: [], foreign: [] });
  assert.deepEqual(readdirSync(disk.world.path("/opt/build")), []);
  assert.deepEqual(readdirSync(disk.world.path(`${directory}/.kiln/trash`)), []);
}

async function failureOf(operation: () => Promise<unknown>): Promise<unknown> {
  try {
    await operation();
    return undefined;
  } catch (error) {
    return error;
  }
}

/** It says which file or folder is on the full disk, and what helps. */
function assertClear(failure: unknown): void {
  assert.ok(failure instanceof KilnError, String(failure));
  const { code, message, hint = "" } = failure;
  const said = { code, message, hint };
  assert.equal(code, "disk.full", JSON.stringify(said));
  assert.match(message, /\/opt\/.*(the disk is full|ENOSPC|do not fit)/, JSON.stringify(said));
  assert.match(hint, /make space/, JSON.stringify(said));
}

/** Reads go on: an object is told of, and sent. */
async function reads(client: StoreClient): Promise<void> {
  assert.equal(await client.call("zb.exists", { path: small.storePath }), true);
  const bytes = await bytesOf(await client.export([small.storePath]));
  assert.ok(bytes.equals(streamOf(exported(small))));
}
