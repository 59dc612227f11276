// Every command that writes files of its own, or opens a store by itself, on a full disk and on disks that become full.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parseStoreDirectory } from "../../src/format/store-path.ts";
import { makeZbStore } from "../../src/store/adopt/adopt.test.support.ts";
import { StoreDatabase } from "../../src/store/database/open.ts";
import { sample, streamOf } from "../../src/store/store.test.support.ts";
import { shellTargets } from "../support/cli.ts";
import { type Ended, needsWorld } from "../support/world.ts";
import { SmallDisk } from "./small-disk.ts";

const directory = parseStoreDirectory("/opt/zb/store");
const database = "/opt/zb/var/zb/db.sqlite";
const kibibyte = 1024;
const large = sample(directory, "large", Buffer.alloc(300 * kibibyte, "large "));

interface Row {
  /** The command line; `{}` is where its file goes, and `<>` a folder with what it reads. */
  readonly command: string;
  /** So many KiB are free when it begins: it must fail in each. */
  readonly rooms: readonly number[];
  /** More options of the disk. */
  readonly options?: string;
}

/** Their files lie on a small disk, the store does not. */
const writers: readonly Row[] = [
  { command: "key generate -o {}", rooms: [0] },
  { command: `store object export ${large.storePath} -o {}`, rooms: [0, 64] },
  { command: "nar pack <>/file -o {}", rooms: [0, 64] },
  { command: `nar pack ${large.storePath} --self-references -o {}`, rooms: [0, 64] },
  { command: "init {}", rooms: [0, 4, 64] },
  { command: "build <> -o {}", rooms: [0], options: ",nr_inodes=2" },
  { command: "serve --ui=127.0.0.1:0 --ui-token-file={} --store-socket=<>/none", rooms: [0] },
];

describe("a file on a full disk", { skip: needsWorld }, () => {
  for (const row of writers) {
    test(`of kiln ${row.command} is missed by name, and nothing of it stays`, async () => {
      await using disk = await SmallDisk.open(1, "/opt/small", row.options);
      const { world } = disk;
      const inputs = join(world.directory, "inputs");
      mkdirSync(inputs);
      writeFileSync(join(inputs, "file"), Buffer.alloc(300 * kibibyte, "file "));
      writeFileSync(join(inputs, "kiln.build.ts"), shellTargets({ default: "echo hi > $out" }));
      writeFileSync(join(inputs, "stream"), streamOf(large));
      const imported = await disk.run("store", "object", "import", join(inputs, "stream"));
      assert.equal(imported.code, 0, imported.stderr);
      const words = row.command.replaceAll("{}", "/opt/small/file").replaceAll("<>", inputs);
      const begin = async (): Promise<Ended> => await disk.run(...words.split(" "));
      for (const room of row.rooms) {
        disk.fill(room * kibibyte);
        assertClear(await begin(), /\/opt\/small\/file/);
        disk.empty();
        assert.deepEqual(filesIn(world.path("/opt/small")), []);
      }
      if (row.command.startsWith("serve")) return;
      const ended = await begin();
      assert.equal(ended.code, 0, ended.stderr);
      assert.notDeepEqual(filesIn(world.path("/opt/small")), []);
    });
  }
});

describe("a store on a disk that is full, or becomes it,", { skip: needsWorld }, () => {
  const rooms = [0, 8, 64, 256];
  const open = ["store", "verify", "--contents"];

  test("is made by the first command that has space for it", async () => {
    await using disk = await SmallDisk.open(16);
    const stream = join(disk.world.directory, "stream");
    writeFileSync(stream, streamOf(large));
    await sweep(disk, rooms, {
      prepare: () => rmSync(disk.world.path("/opt/zb"), { recursive: true, force: true }),
      command: ["store", "object", "import", stream],
    });
  });

  test("is built in by the first kiln build that has space for it", async () => {
    await using disk = await SmallDisk.open(16);
    const project = join(disk.world.directory, "project");
    mkdirSync(project);
    const script = "head -c 300000 /dev/zero > $out";
    writeFileSync(join(project, "kiln.build.ts"), shellTargets({ default: script }));
    await sweep(disk, rooms, {
      prepare: () => rmSync(disk.world.path("/opt/zb"), { recursive: true, force: true }),
      command: ["build", project, "--sandbox=false"],
    });
  });

  test("has its database brought up to date, whole or not at all", async () => {
    await using disk = await SmallDisk.open(16);
    const old = join(disk.world.directory, "old");
    const schema = join(disk.world.directory, "schema");
    mkdirSync(schema);
    const first = new URL("../../src/store/database/schema/01-objects.sql", import.meta.url);
    writeFileSync(join(schema, "01-objects.sql"), readFileSync(first));
    StoreDatabase.open(join(old, "db.sqlite"), { directory, schema }).close();
    await sweep(disk, rooms, {
      prepare: () => {
        rmSync(disk.world.path("/opt/zb"), { recursive: true, force: true });
        mkdirSync(disk.world.path(directory), { recursive: true });
        cpSync(old, disk.world.path("/opt/zb/var/zb"), { recursive: true });
      },
      command: open,
    });
  });

  test("gets a database of its objects, or keeps what there is", async () => {
    await using disk = await SmallDisk.open(16);
    const stream = join(disk.world.directory, "stream");
    writeFileSync(stream, streamOf(large));
    await disk.run("store", "object", "import", stream);
    const folder = disk.world.path("/opt/zb/var/zb");
    await sweep(disk, rooms, {
      prepare: () => {
        for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true });
      },
      command: ["store", "rebuild-db"],
      untouched: () => assert.deepEqual(readdirSync(folder), []),
    });
    // One that is sound is not taken for damaged because there is no space to look at it.
    const before = readFileSync(disk.world.path(database));
    disk.fill();
    const ended = await disk.run("store", "rebuild-db");
    assert.match(ended.stderr, /\[(database\.sound|disk\.full)\]/);
    disk.empty();
    assert.ok(before.equals(readFileSync(disk.world.path(database))));
  });

  test("is adopted from zb whole, or stays zb's", async () => {
    await using disk = await SmallDisk.open(16);
    const zb = join(disk.world.directory, "zb");
    mkdirSync(zb);
    await makeZbStore(zb);
    const copy = disk.world.path("/opt/zb");
    await sweep(disk, rooms, {
      prepare: async () => {
        rmSync(copy, { recursive: true, force: true });
        await disk.world.run("cp", ["-a", zb, "/opt/zb"]);
        mkdirSync(join(copy, "var/zb"), { recursive: true });
        await disk.world.run("mv", ["/opt/zb/db.sqlite", database]);
      },
      command: ["store", "adopt", `--zb-db=${database}`],
      untouched: () => {
        const own = readFileSync(join(zb, "db.sqlite"));
        assert.ok(own.equals(readFileSync(disk.world.path(database))));
      },
    });
  });
});

describe("a store on a full disk without a daemon", { skip: needsWorld }, () => {
  test("can be looked at, and gives space back", async () => {
    await using disk = await SmallDisk.open(4);
    const stream = join(disk.world.directory, "stream");
    writeFileSync(stream, streamOf(large));
    assert.equal((await disk.run("store", "object", "import", stream)).code, 0);
    assert.equal((await disk.run("root", "add", "kept", large.storePath)).code, 0);
    disk.fill();
    assert.equal(disk.free, 0);
    const says = async (command: string, what: RegExp): Promise<void> => {
      const { code, stdout, stderr } = await disk.run(...command.split(" "));
      assert.equal(code, 0, `${command}: ${stderr}`);
      assert.match(stdout + stderr, what, command);
    };
    await says("root list", /^kept /m);
    await says("store list", /-large$/m);
    await says(`store object info ${large.storePath}`, /^NarHash: /m);
    await says("store verify", /all right/);
    await says("gc --dry-run --older-than 0s", /would remove 0 objects/);
    const doctor = await disk.run("doctor");
    assert.match(doctor.stdout.toString(), /^bad +store +the disk of \/opt\/zb\/store is full$/m);
    assert.match(doctor.stdout.toString(), / {2}sandbox {2}/, doctor.stderr);
    await says("root remove kept", /keeps nothing any more/);
    disk.fill();
    await says("gc --older-than 0s", /removed 1 object/);
    assert.ok(disk.free >= 256 * kibibyte, `${disk.free} bytes are free`);
    disk.empty();
    await disk.sound();
  });
});

interface Sweep {
  readonly prepare: () => Promise<void> | void;
  readonly command: readonly string[];
  /** Looks at what a failure left. */
  readonly untouched?: () => void;
}

/** Has a command done in ever more space. Where it fails, it succeeds with space, and then the store is sound. */
async function sweep(disk: SmallDisk, rooms: readonly number[], row: Sweep): Promise<void> {
  const { prepare, command, untouched } = row;
  const failed: number[] = [];
  for (const room of rooms) {
    await prepare();
    disk.fill(room * kibibyte);
    const ended = await disk.run(...command);
    disk.empty();
    if (ended.code !== 0) {
      failed.push(room);
      assertClear(ended, /\/opt/);
      untouched?.();
      const again = await disk.run(...command);
      assert.equal(again.code, 0, again.stderr);
    }
    const verified = await disk.run("store", "verify", "--contents");
    assert.equal(verified.code, 0, verified.stderr);
    await disk.sound();
  }
  assert.ok(failed.length > 1, `it failed in the middle, too: ${failed.join(" ")}`);
}

/** It says what is on the full disk, and what helps. */
function assertClear({ code, stderr }: Ended, what: RegExp): void {
  assert.equal(code, 1, stderr);
  const error = /^kiln: error: .*$/m.exec(stderr)?.[0] ?? stderr;
  assert.match(error, what, stderr);
  assert.match(error, /full|no space left|ENOSPC|do not fit/, stderr);
  assert.match(stderr, /^.*try +.*make space/m, stderr);
}

/** At any depth; empty folders do no harm. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map(({ name }) => name);
}
