import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, test } from "node:test";
import { Hash } from "../format/hash.ts";
import {
  defaultStoreDirectory,
  objectNameOf,
  parseStoreDirectory,
  parseStorePath,
} from "../format/store-path.ts";
import { SigningKey } from "../format/signature.ts";
import { temporaryDirectory } from "../util/temp.ts";
import {
  addObject,
  buildID,
  damage,
  digest,
  makeZbStore,
  placeOf,
  samples,
  type ZbPlaces,
} from "./adopt/adopt.test.support.ts";
import { takeOver, type TakeOverReport } from "./adopt/take-over.ts";
import { BuildTable } from "./database/builds.ts";
import { equivalenceClass, RealizationTable } from "./database/realizations.ts";
import { signRealization } from "./realization-signatures.ts";
import { importInto, outcomes, sample, streamOf } from "./store.test.support.ts";
import { Store } from "./store.ts";

let folder: { path: string } & AsyncDisposable;
let zb: ZbPlaces;
beforeEach(async () => {
  folder = await temporaryDirectory(tmpdir(), "kiln-adopt-");
  zb = await makeZbStore(folder.path);
});
afterEach(async () => await folder[Symbol.asyncDispose]());

const thing = equivalenceClass(Hash.of("sha256", digest("thing")), "out");
const { source, derivation, output, user } = samples;
const all = Object.values(samples).map(({ storePath }) => storePath);

function adopt(more: Partial<Parameters<typeof takeOver>[0]> = {}): Promise<TakeOverReport> {
  return takeOver({
    directory: defaultStoreDirectory,
    realDirectory: zb.store,
    zbDatabase: zb.database,
    ...more,
  });
}

function open(database = zb.database): Promise<Store> {
  return Store.open({ directory: defaultStoreDirectory, realDirectory: zb.store, database });
}

function change(sql: string): void {
  const database = new DatabaseSync(zb.database);
  database.exec(sql);
  database.close();
}

describe("what zb has", () => {
  for (const version of ["v0.1.0", "v0.2"] as const) {
    test(`is Kiln's after the adoption of a store of ${version}`, async () => {
      await using other = await temporaryDirectory(tmpdir(), "kiln-adopt-");
      zb = await makeZbStore(other.path, version);
      const report = await adopt();
      assert.deepEqual(report.adopted.toSorted(), all.toSorted());
      assert.deepEqual([report.leftOut, report.mended, report.present], [[], [], 0]);
      assert.deepEqual([report.realizations, report.builds], [1, 1]);
      await using store = await open();
      for (const { nar: _, ...info } of Object.values(samples)) {
        assert.deepEqual(store.info(info.storePath), info);
        assert.ok(await store.isIntact(info.storePath));
      }
      const [realization] = new RealizationTable(store.database).realizations(thing);
      assert.equal(realization?.path, output.storePath);
      assert.deepEqual(realization.references, [{ path: source.storePath, producer: undefined }]);
    });
  }

  test("includes its builds; one without an end was interrupted", async () => {
    await adopt({ logSize: () => 17 });
    await using store = await open();
    const table = new BuildTable(store.database);
    const build = table.find(buildID.text);
    assert.equal(build?.state, "interrupted");
    assert.deepEqual([build.startedAt, build.endedAt, build.kind], [1000, 1004, "realize"]);
    assert.deepEqual(build.targets, [{ name: "thing", drvPath: derivation.storePath }]);
    const [result] = table.results(buildID.text);
    assert.equal(result?.state, "built");
    assert.equal(result.logSize, 17);
    assert.deepEqual(result.outputs, new Map([["out", output.storePath]]));
  });

  test("includes realisations of outputs that are gone", async () => {
    const gone = parseStorePath(`${defaultStoreDirectory}/${"0".repeat(32)}-gone`);
    change(`insert into paths (path) values ('${gone}');
      insert into realizations select id, 'lib', (select id from paths where path = '${gone}') from drv_hashes`);
    await adopt();
    await using store = await open();
    const lib = equivalenceClass(Hash.of("sha256", digest("thing")), "lib");
    assert.deepEqual(new RealizationTable(store.database).paths(lib), [gone]);
  });

  test("includes valid signatures, and no others", async () => {
    const keys = [1, 2].map((n) => SigningKey.fromSeed(Buffer.alloc(32, n)));
    const references = [{ path: source.storePath, producer: undefined }];
    const plain = { equivalence: thing, path: output.storePath, references, signatures: [] };
    const [good, bad] = signRealization(plain, keys).signatures;
    bad!.signature[5]! ^= 1;
    const database = new DatabaseSync(zb.database);
    for (const [i, { format, publicKey, signature }] of [good!, bad!].entries()) {
      database
        .prepare("insert into signature_public_keys values (?, ?, ?)")
        .run(i, format, publicKey);
      database
        .prepare(
          "insert into signatures select null, drv_hash, output_name, output_path, ?, ? from realizations",
        )
        .run(i, signature);
    }
    database.close();
    const report = await adopt();
    assert.equal(report.droppedSignatures, 1);
    await using store = await open();
    const table = new RealizationTable(store.database);
    assert.deepEqual(table.signatures(thing, output.storePath), [good]);
  });
});

describe("an object that is not what zb says", () => {
  test("is named and left out with what refers to it, and can be imported later", async () => {
    const place = placeOf(zb, output);
    chmodSync(place, 0o755);
    damage(join(place, "doc"), (file) => writeFileSync(file, "read it"));
    const report = await adopt();
    assert.deepEqual(
      report.leftOut.map(({ path, code }) => [path, code]),
      [
        [output.storePath, "store.mismatch"],
        [user.storePath, "store.missingReference"],
      ].toSorted(),
    );
    assert.ok(existsSync(place), "it stays where it was");
    await using store = await open();
    assert.ok(!store.has(output.storePath) && !store.has(user.storePath));
    assert.ok(store.has(derivation.storePath));
    assert.deepEqual(outcomes(await importInto(store, streamOf(output, user))), [
      "imported",
      "imported",
    ]);
    assert.equal(readFileSync(join(place, "doc"), "utf8"), "read me");
  });

  test("is left out when it is not there, or has another path than its content gives", async () => {
    rmSync(placeOf(zb, user));
    const other = `${defaultStoreDirectory}/${"1".repeat(32)}-thing.drv`;
    change(`update paths set path = '${other}' where path = '${derivation.storePath}'`);
    const report = await adopt();
    assert.deepEqual(
      report.leftOut.map(({ path }) => path).toSorted(),
      [user.storePath, other].toSorted(),
    );
    assert.equal(report.adopted.length, 2);
  });

  test("is mended when zb has made files executable that links point to", async () => {
    const entries = {
      script: "#!/bin/sh",
      tool: { executable: "#!/bin/sh" },
      ["to-script"]: { target: "script" },
      ["to-tool"]: { target: "tool" },
      ["to-source"]: { target: `../${objectNameOf(source.storePath)}` },
      ["to-nothing"]: { target: "nothing" },
    };
    const links = sample(defaultStoreDirectory, "links", { entries }, [source.storePath]);
    await addObject(zb, links);
    const files = [placeOf(zb, source), join(placeOf(zb, links), "script")];
    for (const file of files) chmodSync(file, 0o555);
    const report = await adopt();
    assert.deepEqual(report.leftOut, []);
    assert.deepEqual(report.mended.toSorted(), [source.storePath, links.storePath].toSorted());
    for (const file of files) assert.equal(statSync(file).mode & 0o777, 0o444);
  });
});

describe("the database", () => {
  test("takes the place of zb's, which is kept", async () => {
    const before = new DatabaseSync(zb.database);
    const rows = before.prepare("select * from paths").all();
    before.close();
    const report = await adopt();
    assert.equal(report.database, zb.database);
    assert.equal(report.zbDatabase, `${zb.database}.zb`);
    const kept = new DatabaseSync(report.zbDatabase);
    assert.deepEqual(kept.prepare("select * from paths").all(), rows);
    kept.close();
    assert.ok(!existsSync(`${zb.database}.adopting`));
    await assert.rejects(adopt(), { code: "zb.adopted" });
  });

  test("can lie elsewhere; then zb's stays, and adopting it again changes nothing", async () => {
    const database = join(folder.path, "kiln", "db.sqlite");
    const first = await adopt({ database });
    assert.deepEqual([first.database, first.zbDatabase], [database, zb.database]);
    const again = await adopt({ database });
    assert.deepEqual([again.adopted, again.present, again.builds], [[], 4, 0]);
    await using store = await open(database);
    assert.equal([...store.list()].length, 4);
  });

  test("may be named by a link: what it points to is exchanged", async () => {
    const link = join(folder.path, "link");
    symlinkSync(zb.database, link);
    const report = await adopt({ zbDatabase: link });
    assert.equal(report.database, zb.database);
    await using store = await open(link);
    assert.equal([...store.list()].length, 4);
  });
});

describe("the adoption is refused", () => {
  test("while zb's daemon is alive: by its lock, or by its heartbeat", async () => {
    const daemon = new DatabaseSync(zb.database);
    daemon.prepare("select count(*) from paths").get();
    await assert.rejects(adopt(), { code: "zb.running", message: /another program has it open/ });
    daemon.close();
    change(`insert into running_server values (${Date.now() - 5000})`);
    await assert.rejects(adopt(), { code: "zb.running", message: /less than 10 seconds ago/ });
    assert.ok(!existsSync(join(zb.store, ".kiln")), "nothing was touched");
    change(`update running_server set running_as_of = ${Date.now() - 11_000}`);
    assert.equal((await adopt()).adopted.length, 4);
  });

  test("while another process has the store", async () => {
    await using _store = await open(join(folder.path, "other.sqlite"));
    await assert.rejects(adopt(), { code: "store.locked" });
  });

  test("for another store directory", async () => {
    const directory = parseStoreDirectory("/other/store");
    await assert.rejects(adopt({ directory }), {
      code: "zb.directory",
      hint: `--store ${defaultStoreDirectory}`,
    });
  });

  test("for what is no database of zb's, or one of an unknown zb", async () => {
    await assert.rejects(adopt({ zbDatabase: join(folder.path, "none") }), { code: "zb.absent" });
    for (const version of [2, 6]) {
      change(`pragma user_version = ${version}`);
      await assert.rejects(adopt(), { code: "zb.version" });
    }
    change("drop table drv_hashes");
    await assert.rejects(adopt(), { code: "zb.foreign" });
  });

  test("when it is stopped, and changes nothing", async () => {
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    await assert.rejects(adopt({ signal }), (error) => error === reason);
    assert.equal((await adopt()).adopted.length, 4);
  });
});
