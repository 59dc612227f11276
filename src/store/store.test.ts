import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseContentAddress } from "../format/content-address.ts";
import { objectNameOf, parseStoreDirectory, type StorePath } from "../format/store-path.ts";
import {
  importInto,
  namesIn,
  narOf,
  sample,
  streamOf,
  testStore,
  type Sample,
  type TestStore,
} from "./store.test.support.ts";
import { Store } from "./store.ts";
import { sha256 } from "../format/hash.ts";

/** A tree on the store's file system, as a builder leaves it. */
function built({ store }: TestStore, name: string, contents: string): string {
  const tree = join(store.temporaryDirectory, `build-${name}`);
  mkdirSync(tree);
  writeFileSync(join(tree, "file"), contents, { mode: 0o755 });
  symlinkSync("file", join(tree, "link"));
  return tree;
}

function outputOf(
  { directory }: TestStore,
  name: string,
  contents: string,
  references: Sample[] = [],
): Sample {
  const tree = { entries: { file: { executable: contents }, link: { target: "file" } } };
  return sample(
    directory,
    name,
    tree,
    references.map(({ storePath }) => storePath),
  );
}

test("a store makes its directory, is found again, and holds itself back from a second process", async () => {
  await using context = await testStore({ logical: false });
  assert.equal(statSync(context.real).mode & 0o7777, 0o1775);
  assert.equal(statSync(join(context.real, ".kiln")).mode & 0o7777, 0o700);
  assert.equal(
    context.store.realPath(sample(context.directory, "a", "").storePath).startsWith(context.real),
    true,
  );
  await assert.rejects(Store.open(context.options), { code: "store.locked" });
  const object = sample(context.directory, "a", "a");
  await importInto(context.store, streamOf(object));
  await context.reopen();
  assert.equal(await context.store.exists(object.storePath), true);
  await context.store.close();
  await context.store.close();
});

test("a store is not opened with another database, nor a database with another store", async () => {
  await using context = await testStore();
  await context.store.close();
  const elsewhere = join(context.folder, "other.sqlite");
  await assert.rejects(Store.open({ ...context.options, database: elsewhere }), {
    code: "database.lost",
  });
  assert.equal(existsSync(elsewhere), false);
  const directory = parseStoreDirectory("/somewhere/else");
  await assert.rejects(Store.open({ ...context.options, directory }), {
    code: "database.directory",
  });
  rmSync(context.options.database);
  await assert.rejects(Store.open(context.options), { code: "database.lost" });
  // Whoever says so may begin anew.
  rmSync(join(context.real, ".kiln", "store-id"));
  context.store = await Store.open(context.options);
});

test("exists tells of registered objects and what is in them, without following a link", async () => {
  await using context = await testStore();
  const { store, directory, real } = context;
  const object = sample(directory, "a", {
    entries: {
      bin: { entries: { "tool é": { executable: "" } } },
      link: { target: "bin" },
      broken: { target: "x" },
    },
  });
  await importInto(store, streamOf(object));
  writeFileSync(join(real, "README"), "");
  const path = object.storePath;
  const answers: Record<string, boolean> = {
    [path]: true,
    [`${path}/`]: true,
    [`${path}/bin/tool é`]: true,
    [`${path}/bin/../bin`]: true,
    [`${path}/link`]: true,
    [`${path}/broken`]: true,
    [`${path}/link/tool é`]: false,
    [`${path}/bin/tool é/x`]: false,
    [`${path}/other`]: false,
    [`${path}/${"x".repeat(300)}`]: false,
    [`${path}/a\0b`]: false,
    [`${directory}/README`]: false,
    [directory]: false,
    [`/other${path}`]: false,
    "": false,
    bin: false,
    "\0": false,
    [sample(directory, "absent", "").storePath]: false,
  };
  for (const [text, answer] of Object.entries(answers)) {
    assert.equal(await store.exists(text), answer, JSON.stringify(text));
  }
});

test("exists waits for whoever holds the object's lock", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const object = sample(directory, "a", "a");
  const lock = await store.lock(object.storePath);
  const answer = store.exists(object.storePath);
  const importing = importInto(store, streamOf(object));
  lock[Symbol.dispose]();
  assert.equal(store.isPresent(object.storePath), false);
  assert.equal(await answer, false);
  await importing;
  assert.equal(store.isPresent(object.storePath), true);
  assert.equal(await store.exists(object.storePath), true);
});

test("a build's output is frozen, moved into place and registered; a second one like it is dropped", async () => {
  await using context = await testStore();
  const { store } = context;
  const added: unknown[] = [];
  store.onObjectAdded = ({ storePath }, origin) => added.push([storePath, origin]);
  const output = outputOf(context, "out", "data");
  const first = built(context, "1", "data");
  assert.equal(await store.publish(first, output), "added");
  assert.equal(existsSync(first), false);
  const real = store.realPath(output.storePath);
  assert.equal(statSync(real).mode & 0o7777, 0o555);
  assert.equal(statSync(join(real, "file")).mode & 0o7777, 0o555);
  assert.equal(statSync(join(real, "file")).mtimeMs, 0);
  const second = built(context, "2", "data");
  using lock = await store.lock(output.storePath);
  assert.equal(await store.publish(second, output, { lock }), "present");
  await context.store.close();
  assert.equal(existsSync(second), false);
  assert.deepEqual(added, [[output.storePath, "build"]]);
  context.store = await Store.open(context.options);
});

test("an output whose reference is missing, or that has no address, is not published and its tree is gone", async () => {
  await using context = await testStore();
  const { store } = context;
  const absent = outputOf(context, "absent", "absent");
  const output = outputOf(context, "out", "data", [absent]);
  await assert.rejects(store.publish(built(context, "1", "data"), output), {
    code: "store.missingReference",
  });
  const bare = { ...outputOf(context, "bare", "data"), ca: undefined };
  await assert.rejects(store.publish(built(context, "2", "data"), bare), {
    code: "store.notContentAddressed",
  });
  await context.reopen();
  assert.deepEqual(namesIn(context.real), []);
  assert.deepEqual(readdirSync(context.store.temporaryDirectory), []);
});

test("several outputs are published together, in any order, or not at all", async () => {
  await using context = await testStore();
  const { store } = context;
  const one = outputOf(context, "one", "one");
  const two = outputOf(context, "two", "two", [one]);
  const absent = outputOf(context, "absent", "absent");
  const three = outputOf(context, "three", "three", [absent]);
  await assert.rejects(
    store.publishAll([
      { tree: built(context, "1", "one"), info: one },
      { tree: built(context, "3", "three"), info: three },
    ]),
    { code: "store.missingReference" },
  );
  assert.deepEqual(namesIn(context.real), []);
  assert.deepEqual(
    await store.publishAll([
      { tree: built(context, "2", "two"), info: two },
      { tree: built(context, "1b", "one"), info: one },
    ]),
    ["added", "added"],
  );
  assert.deepEqual(store.closure([two.storePath]), [one.storePath, two.storePath].toSorted());
  assert.deepEqual(store.referrers(one.storePath), [two.storePath]);
});

test("a claimed name is cleared before and after, unless what was built there became an object", async () => {
  await using context = await testStore();
  const { store } = context;
  const output = outputOf(context, "out", "data");
  const other = outputOf(context, "other", "other");
  writeFileSync(store.realPath(output.storePath), "left by somebody");
  {
    await using _claimed = await store.claim([output.storePath, other.storePath]);
    assert.equal(existsSync(store.realPath(output.storePath)), false);
    for (const [{ storePath }, contents] of [
      [output, "data"],
      [other, "other"],
    ] as const) {
      mkdirSync(store.realPath(storePath));
      writeFileSync(join(store.realPath(storePath), "file"), contents, { mode: 0o755 });
      symlinkSync("file", join(store.realPath(storePath), "link"));
    }
    assert.equal(await store.publish(store.realPath(output.storePath), output), "added");
  }
  assert.deepEqual(namesIn(context.real), [output.storePath.slice(context.directory.length + 1)]);
  assert.equal(await store.exists(`${output.storePath}/file`), true);
  await assert.rejects(store.claim([output.storePath]), { code: "store.conflict" });
});

test("after a crash a claimed name is cleared when the store is opened", async () => {
  await using context = await testStore();
  const output = outputOf(context, "out", "data");
  await context.store.claim([output.storePath]);
  writeFileSync(context.store.realPath(output.storePath), "half a result");
  await context.reopen();
  assert.deepEqual(namesIn(context.real), []);
  assert.equal(context.store.database.prepare("select count(*) as n from intents").get()?.["n"], 0);
});

test("names that are expected are announced with the first one that is claimed, and cleared when they are not used", async () => {
  await using context = await testStore();
  const { store } = context;
  const [one, two, taken] = ["one", "two", "taken"].map((name) => outputOf(context, name, name));
  assert.ok(one && two && taken);
  const announced = (): unknown[] =>
    store.database
      .prepare("select path from intents")
      .all()
      .map((row) => row["path"]);
  writeFileSync(store.realPath(taken.storePath), "somebody's");
  {
    using _expected = store.expect([taken.storePath, two.storePath, one.storePath]);
    assert.deepEqual(announced(), []);
    await using _one = await store.claim([one.storePath]);
    assert.deepEqual(announced().toSorted(), [one.storePath, two.storePath].toSorted());
    await using _two = await store.claim([two.storePath]);
  }
  assert.deepEqual(namesIn(context.real), [taken.storePath.slice(context.directory.length + 1)]);
  assert.equal(announced().length, 2, "the disk may not know yet that they are gone");
  const made = outputOf(context, "made", "made");
  await store.publish(built(context, "made", "made"), made);
  assert.deepEqual(announced(), []);
  await context.reopen();
  assert.equal(existsSync(store.realPath(taken.storePath)), true);
});

test("after a crash what lies at an expected name is cleared, too", async () => {
  await using context = await testStore();
  const { store } = context;
  const [one, two] = ["one", "two"].map((name) => outputOf(context, name, name));
  assert.ok(one && two);
  store.expect([two.storePath]);
  await store.claim([one.storePath]);
  for (const { storePath } of [one, two]) writeFileSync(store.realPath(storePath), "half");
  await context.reopen();
  assert.deepEqual(namesIn(context.real), []);
});

test("after a crash what was made under a foretold name is cleared, and what else has that name is not", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const at = sample(directory, "foretold", "where it is made").storePath;
  const [older, object, unfinished, other] = [
    outputOf(context, "foretold", "older"),
    outputOf(context, "foretold", "object"),
    outputOf(context, "foretold", "unfinished"),
    outputOf(context, "foretold-not", "other"),
  ];
  const place = ({ storePath }: { readonly storePath: StorePath }): void =>
    writeFileSync(store.realPath(storePath), "somebody's");
  place(older);
  // A name is Kiln's if it changed a second before that was announced, or later.
  await new Promise((done) => setTimeout(done, 1100));
  {
    using _expected = store.expect([at]);
    store.announce([at]);
    await using _claimed = await store.claim([at]);
    const publication = { tree: built(context, "made", "object"), info: object };
    const intents = (): unknown[] => store.database.prepare("select path from intents").all();
    const onPlaced = (): void => assert.equal(intents().length, 1, "it has no intent of its own");
    assert.deepEqual(await store.publishAll([publication], { madeAt: [at], onPlaced }), ["added"]);
  }
  store.expect([at]);
  await store.claim([at]);
  place(unfinished);
  place(other);
  writeFileSync(join(context.real, `not-an-object-${at.slice(-8)}`), "");
  await context.reopen();
  const left = [older, object, other].map(({ storePath }) => objectNameOf(storePath));
  assert.deepEqual(namesIn(context.real), [...left, `not-an-object-${at.slice(-8)}`].toSorted());
  assert.equal(context.store.database.prepare("select count(*) as n from intents").get()?.["n"], 0);
});

test("an intent foretells what is made in the next ten minutes: what comes later may be somebody's", async ({
  mock,
}) => {
  await using context = await testStore();
  const { store, directory } = context;
  const at = sample(directory, "late", "where it is made").storePath;
  const start = Date.now();
  const intents = (): unknown[] => store.database.prepare("select path from intents").all();
  using _expected = store.expect([at]);
  store.announce([at]);
  await using _claimed = await store.claim([at]);
  // The last one is a clock that was set back.
  for (const [minutes, count] of [
    [9, 1],
    [11, 2],
    [-1, 2],
  ] as const) {
    mock.method(Date, "now", () => start + minutes * 60_000);
    const info = outputOf(context, "late", `${minutes}`);
    const publication = { tree: built(context, "made", `${minutes}`), info };
    const onPlaced = (): void => assert.equal(intents().length, count, `after ${minutes} minutes`);
    assert.deepEqual(await store.publishAll([publication], { madeAt: [at], onPlaced }), ["added"]);
    mock.restoreAll();
  }
});

test("what got a foretold name long after that was foretold stays after a crash", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const at = sample(directory, "foretold", "where it is made").storePath;
  const foreign = outputOf(context, "foretold", "of an hour later");
  store.expect([at]);
  await store.claim([at]);
  store.database.sql.exec("update intents set created_at = created_at - 3600000");
  writeFileSync(store.realPath(foreign.storePath), "somebody's");
  await context.reopen();
  assert.deepEqual(namesIn(context.real), [objectNameOf(foreign.storePath)]);
  assert.equal(context.store.database.prepare("select count(*) as n from intents").get()?.["n"], 0);
});

test("an intent is carried out on Kiln's own file only, never on one that came there otherwise", async () => {
  await using context = await testStore();
  const { store } = context;
  const mine = sample(context.directory, "mine", "mine");
  const foreign = sample(context.directory, "foreign", "foreign");
  for (const { storePath } of [mine, foreign]) writeFileSync(store.realPath(storePath), "x");
  const insert = store.database.prepare(
    "insert into intents (path, inode, created_at) values (?, ?, 0)",
  );
  insert.run(
    mine.storePath,
    String(lstatSync(store.realPath(mine.storePath), { bigint: true }).ino),
  );
  insert.run(foreign.storePath, "1");
  await context.reopen();
  assert.deepEqual(namesIn(context.real), [foreign.storePath.slice(context.directory.length + 1)]);
  assert.equal(context.store.database.prepare("select count(*) as n from intents").get()?.["n"], 0);
});

test("what the last process left in the temporary folder goes when the store is opened", async () => {
  await using context = await testStore();
  const tmp = context.store.temporaryDirectory;
  mkdirSync(join(tmp, "import-x", "deep"), { recursive: true });
  writeFileSync(join(tmp, "import-x", "deep", "file"), "", { mode: 0o400 });
  await context.reopen();
  assert.deepEqual(readdirSync(tmp), []);
  await context.reopen();
  assert.deepEqual(readdirSync(join(context.real, ".kiln", "trash")), []);
});

test("an object already in the directory is registered after a look at all of it", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const object = sample(directory, "a", { entries: { file: "data" } });
  const place = (contents: string): void => {
    rmSync(store.realPath(object.storePath), { recursive: true, force: true });
    mkdirSync(store.realPath(object.storePath), { mode: 0o755 });
    writeFileSync(join(store.realPath(object.storePath), "file"), contents);
  };
  const register = (changes: object): Promise<void> => store.register({ ...object, ...changes });
  await assert.rejects(register({}), { code: "store.missing" });
  place("other");
  await assert.rejects(register({}), { code: "store.mismatch" });
  place("data");
  await assert.rejects(register({ ca: undefined }), { code: "store.notContentAddressed" });
  await assert.rejects(register({ narSize: object.narSize + 1 }), { code: "store.mismatch" });
  await assert.rejects(register({ narHash: sha256("") }), { code: "store.mismatch" });
  const wrong = parseContentAddress(
    "fixed:r:sha256:0000000000000000000000000000000000000000000000000000",
  );
  await assert.rejects(register({ ca: wrong }), { code: "path.mismatch" });
  const absent = sample(directory, "absent", "absent");
  await assert.rejects(register({ references: [absent.storePath] }), { code: "path.mismatch" });
  assert.equal(store.has(object.storePath), false);
  await register({});
  assert.equal(await store.exists(`${object.storePath}/file`), true);
  assert.equal(statSync(store.realPath(object.storePath)).mode & 0o7777, 0o555);
  await register({});
  await assert.rejects(register({ narSize: 1 }), { code: "store.conflict" });
  const elsewhere = sample(parseStoreDirectory("/elsewhere"), "a", narOf("a"));
  await assert.rejects(store.register(elsewhere), { code: "path.invalid" });
  const needy = sample(directory, "needy", { entries: {} }, [absent.storePath]);
  mkdirSync(store.realPath(needy.storePath));
  await assert.rejects(store.register(needy), { code: "store.missingReference" });
});
