import assert from "node:assert/strict";
import { test } from "node:test";
import type { ObjectInfo } from "../../format/object-info.ts";
import type { StorePath } from "../../format/store-path.ts";
import { sample, testStore } from "../store.test.support.ts";
import { closureOf, isDetached, referenceGraph } from "./closure.ts";
import { closureAmount } from "./inventory.ts";
import { ObjectTable } from "./objects.ts";
import type { StoreDatabase } from "./open.ts";

/** What SQLite may believe of a store: nothing, as when it is new, or what it has counted in a large one. */
const beliefs: readonly (readonly [what: string, statistics: readonly (readonly string[])[]])[] = [
  ["without statistics", []],
  [
    "with those of a large store",
    [
      ["objects", "sqlite_autoindex_objects_1", "100000 1"],
      ["object_references", "object_references_by_referent", "300000 6"],
      ["object_references", "object_references", "300000 3 1"],
    ],
  ],
];

for (const [what, statistics] of beliefs) {
  test(`who asks for a few objects has no query look at all of them, ${what}`, async () => {
    await using context = await testStore();
    const { database } = context.store;
    database.sql.exec("analyze");
    const believe = database.sql.prepare("insert or replace into sqlite_stat1 values (?, ?, ?)");
    database.sql.exec("delete from sqlite_stat1");
    for (const row of statistics) believe.run(...row);
    database.sql.exec("analyze sqlite_schema");
    const { nar: _, ...low } = sample(context.directory, "low", "low");
    const { nar: __, ...top } = sample(context.directory, "top", "top", [low.storePath]);
    const asked = await queriesOf(database, [low, top]);
    assert.ok(asked.size >= 10, "the queries were noticed");
    for (const query of asked) {
      const plan = database.sql.prepare(`explain query plan ${query}`).all();
      const steps = plan.map(({ detail }) => String(detail));
      const scans = steps.filter((step) => /^SCAN (?:object|refer)/.test(step));
      assert.deepEqual(scans, [], query);
    }
  });
}

/** The SQL of all that is asked about a few objects. */
async function queriesOf(
  database: StoreDatabase,
  infos: readonly ObjectInfo[],
): Promise<ReadonlySet<string>> {
  const asked = new Set<string>();
  const prepare = database.prepare.bind(database);
  database.prepare = (sql) => {
    asked.add(sql);
    return prepare(sql);
  };
  const objects = new ObjectTable(database);
  const paths = infos.map(({ storePath }) => storePath);
  database.transaction(() => objects.insert(infos, 1));
  for (const path of paths) {
    objects.has(path);
    objects.info(path);
    objects.referrers(path);
    objects.verifiedAt(path);
    closureAmount(database, path);
  }
  objects.among(paths);
  objects.infos(paths);
  closureOf(database, paths);
  isDetached(database, paths);
  await referenceGraph(database, paths);
  await referenceGraph(database, paths, "referrers");
  database.transaction(() => objects.delete(paths));
  return asked;
}

test("what is reached is all there is, with all its references, whatever shape they have", async () => {
  await using context = await testStore();
  const { database } = context.store;
  const objects = new ObjectTable(database);
  let state = 7;
  const random = (bound: number): number => (state = (state * 48_271) % 2_147_483_647) % bound;
  for (const [shape, count, reach, most] of [
    ["a chain", 1500, 1, 1],
    ["a net", 1500, 40, 4],
    ["few levels", 1200, 1200, 2],
    ["what many have in common", 900, 900, 12],
  ] as const) {
    const infos: ObjectInfo[] = [];
    for (let index = 0; index < count; index++) {
      const near = infos.slice(-reach);
      const some = Array.from({ length: 1 + random(most) }, () => near[random(near.length)]);
      const references = some.flatMap((info) => (info === undefined ? [] : [info.storePath]));
      const { nar: _, ...info } = sample(
        context.directory,
        `${shape}-${index}`.replaceAll(" ", "-"),
        "",
        references,
      );
      infos.push(info);
    }
    database.transaction(() => objects.insert(infos, 1));
    const down = new Map(infos.map(({ storePath, references }) => [storePath, references]));
    const up = new Map<StorePath, StorePath[]>(infos.map(({ storePath }) => [storePath, []]));
    for (const { storePath, references } of infos) {
      for (const reference of references) up.get(reference)?.push(storePath);
    }
    for (const [direction, edges] of [
      ["referents", down],
      ["referrers", up],
    ] as const) {
      const roots = Array.from({ length: 3 }, () => infos[random(count)]!.storePath);
      const graph = await referenceGraph(database, roots, direction);
      const expected = new Set(roots);
      for (const path of expected) for (const other of edges.get(path) ?? []) expected.add(other);
      assert.deepEqual([...graph.keys()].toSorted(), [...expected].toSorted(), shape);
      for (const [path, found] of graph) {
        assert.deepEqual(found.toSorted(), edges.get(path)?.toSorted(), shape);
      }
    }
  }
});

test("where a chain ends in a thicket, no look at it gives more rows than others can wait for", async () => {
  await using context = await testStore();
  const { database } = context.store;
  const infos: ObjectInfo[] = [];
  for (let index = 0; index < 1100; index++) {
    const references = infos.slice(index < 500 ? -80 : -1).map(({ storePath }) => storePath);
    const { nar: _, ...info } = sample(context.directory, `o-${index}`, "", references);
    infos.push(info);
  }
  database.transaction(() => new ObjectTable(database).insert(infos, 1));
  const looks: number[] = [];
  const prepare = database.prepare.bind(database);
  database.prepare = (sql) => {
    const statement = prepare(sql);
    const all = statement.all.bind(statement);
    const iterate = statement.iterate.bind(statement);
    statement.all = (...values) => {
      const rows = all(...values);
      looks.push(rows.length);
      return rows;
    };
    statement.iterate = function* (...values) {
      const at = looks.push(0) - 1;
      let count = 0;
      for (const row of iterate(...values)) {
        looks[at] = ++count;
        yield row;
      }
    };
    return statement;
  };
  const graph = await referenceGraph(database, [infos.at(-1)!.storePath]);
  assert.ok(Math.max(...looks) <= 20_100, `${Math.max(...looks)} rows`);
  assert.ok(looks.length < 100, `${looks.length} looks`);
  assert.equal(graph.size, infos.length);
  for (const { storePath, references } of infos) {
    assert.deepEqual(graph.get(storePath)?.toSorted(), references);
  }
});
