// A database that somebody else has locked costs the requests that need to write, for as long as it is locked.
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { parseStoreDirectory } from "../../src/format/store-path.ts";
import { StoreClient } from "../../src/rpc/client.ts";
import {
  bytesOf,
  exported,
  sample,
  streamOf,
  type Sample,
} from "../../src/store/store.test.support.ts";
import { hasCode } from "../../src/util/kiln-error.ts";
import { audit } from "../crash/audit.ts";
import { Place } from "../support/cli.ts";

test("a database that is locked by another program is named, and work resumes when it is free", async () => {
  await using place = new Place();
  await place.serve();
  const database = join(place.directory, "var/kiln/db.sqlite");
  const directory = parseStoreDirectory(place.store);
  const [first, second] = [sample(directory, "first", "1"), sample(directory, "second", "2")];
  await using client = await StoreClient.connect(place.socket);
  const importing = async (object: Sample): Promise<string | undefined> => {
    await client.importStream([streamOf(object)]);
    await client.barrier();
    const [report] = (await client.call("kiln.importReport", {})).reports;
    return report?.code ?? report?.status;
  };
  assert.equal(await importing(first), "imported");
  {
    using other = new DatabaseSync(database);
    other.exec("begin immediate");
    assert.equal(await importing(second), "database.locked");
    await assert.rejects(client.call("kiln.delete", { paths: [first.storePath] }), (error) =>
      hasCode(error, "database.locked"),
    );
    const bytes = await bytesOf(await client.export([first.storePath]));
    assert.ok(bytes.equals(streamOf(exported(first))));
    other.exec("rollback");
  }
  assert.equal(await importing(second), "imported");
  assert.deepEqual(audit({ store: place.store, database }).faults, []);
});
