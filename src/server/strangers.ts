/** Objects that a new database does not know. */
import { opendirSync } from "node:fs";
import { join } from "node:path";
import type { Store } from "../store/store.ts";
import { attempt } from "../files/file-error.ts";
import type { Log } from "./options.ts";

/** They are counted up to here: a large store must not wait for it. */
const most = 10_000;

/** Says what to do when a database was made beside objects: a mistyped path, often, or a store of zb's. */
export function tellOfStrangers(store: Store, log: Log): void {
  if (!store.database.created) return;
  const { realDirectory } = store;
  const count = attempt("list", realDirectory, () => countObjects(realDirectory));
  if (count === 0) return;
  const many = count === most ? `${count} or more` : `${count}`;
  log(
    "warn",
    `the database is new, and ${many} objects lie in ${realDirectory} that it does not know: they are left alone. ` +
      `If another database knows them, remove ${join(realDirectory, ".kiln", "store-id")} and give that one (--db); ` +
      "kiln store adopt --zb-db FILE takes over a store of zb's; kiln store rebuild-db --force makes a database of the objects",
  );
}

/** Names that have a dash where objects have it. */
function countObjects(place: string): number {
  using directory = opendirSync(place);
  let count = 0;
  for (let entry; count < most && (entry = directory.readSync()) !== null;) {
    if (/^[0-9a-z]{32}-./.test(entry.name)) count++;
  }
  return count;
}
