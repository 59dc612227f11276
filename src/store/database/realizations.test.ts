import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sha256 } from "../../format/hash.ts";
import { parseStorePath, type StorePath } from "../../format/store-path.ts";
import { StoreDatabase } from "./open.ts";
import {
  equivalenceClass,
  partsOfClass,
  RealizationTable,
  type Realization,
} from "./realizations.ts";

const path = (digit: string, name: string): StorePath =>
  parseStorePath(`/store/${digit.repeat(32)}-${name}`);
const lib = equivalenceClass(sha256("lib"), "out");
const app = equivalenceClass(sha256("app"), "out");

function open(): { table: RealizationTable; add: (r: Partial<Realization>) => void } & Disposable {
  const folder = mkdtempSync(join(tmpdir(), "kiln-realizations-"));
  const database = StoreDatabase.open(join(folder, "db.sqlite"), {
    directory: "/store",
    durability: "process",
  });
  const table = new RealizationTable(database);
  return {
    table,
    add: (realization) =>
      database.transaction(() =>
        table.add(
          {
            equivalence: app,
            path: path("a", "app"),
            references: [],
            signatures: [],
            ...realization,
          },
          1,
        ),
      ),
    [Symbol.dispose](): void {
      database.close();
      rmSync(folder, { recursive: true });
    },
  };
}

test("a class is a derivation hash and an output name", () => {
  const { derivationHash, output } = partsOfClass(equivalenceClass(sha256("x"), "dev!x"));
  assert.equal(derivationHash.base16(), sha256("x").base16());
  assert.equal(output, "dev!x");
});

const signature = (key: string): { format: string; publicKey: Buffer; signature: Buffer } => ({
  format: "ed25519",
  publicKey: Buffer.from(key),
  signature: Buffer.from(`by ${key}`),
});

test("an unknown class has no realisations", () => {
  using store = open();
  assert.deepEqual(store.table.paths(app), []);
  assert.deepEqual(store.table.realizations(app), []);
  assert.deepEqual(store.table.referenceClasses(app, path("a", "app")), []);
});

test("a realisation is read back with its references and their producers", () => {
  using store = open();
  const references = [
    { path: path("b", "lib"), producer: undefined },
    { path: path("b", "lib"), producer: lib },
    { path: path("c", "src"), producer: undefined },
  ];
  store.add({ references: references.toReversed() });
  assert.deepEqual(store.table.paths(app), [path("a", "app")]);
  assert.deepEqual(store.table.referenceClasses(app, path("a", "app")), references);
  assert.deepEqual(store.table.realizations(app), [
    { equivalence: app, path: path("a", "app"), references, signatures: [] },
  ]);
  assert.deepEqual(store.table.paths(lib), []);
});

test("recording a realisation again changes nothing but adds its signatures", () => {
  using store = open();
  store.add({});
  store.add({ signatures: [signature("k1")] });
  store.add({ signatures: [signature("k1"), signature("k2")] });
  assert.equal(store.table.realizations(app).length, 1);
  assert.deepEqual(store.table.signatures(app, path("a", "app")), [
    signature("k1"),
    signature("k2"),
  ]);
});

test("other reference classes make another realisation of the same path", () => {
  using store = open();
  const both = [
    { path: path("b", "lib"), producer: undefined },
    { path: path("b", "lib"), producer: lib },
  ];
  store.add({ references: both.slice(0, 1) });
  store.add({ references: both.slice(1) });
  assert.equal(store.table.realizations(app).length, 2);
  assert.deepEqual(store.table.paths(app), [path("a", "app")]);
  assert.deepEqual(store.table.referenceClasses(app, path("a", "app")), both);
});

test("the paths of a class are sorted", () => {
  using store = open();
  store.add({ path: path("b", "app") });
  store.add({ path: path("a", "app") });
  assert.deepEqual(store.table.paths(app), [path("a", "app"), path("b", "app")]);
});
