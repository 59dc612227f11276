/** A small store of zb's, for tests: objects on disk and a database that knows them. */
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { freeze } from "../../files/freeze.ts";
import { TreeWriter } from "../../files/restore.ts";
import { NarReader } from "../../format/nar/reader.ts";
import { objectNameOf, defaultStoreDirectory } from "../../format/store-path.ts";
import { sample, textSample, type Sample } from "../store.test.support.ts";
import { ZbWriter } from "./zb-database.test.support.ts";

const directory = defaultStoreDirectory;
const source = sample(directory, "source", "a source");
const derivation = textSample(directory, "thing.drv", "Derive(thing)", [source.storePath]);
const output = sample(
  directory,
  "thing",
  {
    entries: {
      bin: { entries: { tool: { executable: "#!/bin/sh" } } },
      doc: "read me",
      link: { target: "bin/tool" },
    },
  },
  [source.storePath],
);
const user = sample(directory, "user", "uses the thing", [output.storePath]);

export const samples: Readonly<Record<"source" | "derivation" | "output" | "user", Sample>> = {
  source,
  derivation,
  output,
  user,
};

/** A hash for tests. */
export function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** The id of the build, as it is in the database and as text. */
export const buildID: { readonly bytes: Buffer; readonly text: string } = {
  bytes: Buffer.from("01a205b6722b784ab57e304e101b743b", "hex"),
  text: "01a205b6-722b-784a-b57e-304e101b743b",
};

export interface ZbPlaces {
  readonly store: string;
  readonly database: string;
}

/** Makes the store of {@link samples} in `folder`, with one realisation and one build of it. */
export async function makeZbStore(
  folder: string,
  version: "v0.1.0" | "v0.2" = "v0.2",
): Promise<ZbPlaces> {
  const places = { store: join(folder, "store"), database: join(folder, "db.sqlite") };
  mkdirSync(places.store);
  for (const object of Object.values(samples)) await unpack(object, places.store);
  using zb = new ZbWriter(places.database, version);
  for (const object of Object.values(samples)) zb.object(object);
  const hash = zb.hash(digest("thing"));
  zb.realization(hash, "out", output.storePath);
  const [from, to] = [zb.path(output.storePath), zb.path(source.storePath)];
  zb.sql
    .prepare("insert into reference_classes values (1, ?, ?, 'out', ?, null, null)")
    .run(from, hash, to);
  zb.sql
    .prepare("insert into builds (id, uuid, started_at) values (1, ?, 1000)")
    .run(buildID.bytes);
  zb.sql.exec(
    `insert into build_results (id, build_id, drv_path, status, started_at, builder_started_at, builder_ended_at, ended_at)
     values (1, 1, ${zb.path(derivation.storePath)}, 'success', 1001, 1002, 1003, 1004);
     insert into build_outputs values (1, 'out', ${from})`,
  );
  return places;
}

/** Where an object lies. */
export function placeOf({ store }: ZbPlaces, { storePath }: Sample): string {
  return join(store, objectNameOf(storePath));
}

/** Lets `write` change a frozen file. */
export function damage(file: string, write: (file: string) => void): void {
  chmodSync(file, 0o644);
  write(file);
  chmodSync(file, 0o444);
}

/** Adds an object to a store of zb's. */
export async function addObject({ store, database }: ZbPlaces, object: Sample): Promise<void> {
  await unpack(object, store);
  using zb = new ZbWriter(database);
  zb.object(object);
}

async function unpack(object: Sample, store: string): Promise<void> {
  const place = join(store, objectNameOf(object.storePath));
  using tree = new TreeWriter(place);
  new NarReader(tree).write(object.nar);
  tree.close();
  await freeze(place);
}
