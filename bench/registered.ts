/**
 * Objects that are registered and nothing else: rows as an import writes them, in a store whose daemon does not run. On disk there is
 * nothing of them, so that a million takes seconds and not hours; what reads files cannot be measured with them.
 */
import { randomBytes } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { printContentAddress } from "../src/format/content-address.ts";
import { Hash } from "../src/format/hash.ts";
import { parseStorePath, type StorePath } from "../src/format/store-path.ts";

/** References of each object, to others before it. */
const references = 3;

/**
 * Registers `count` objects in the database at `file`. The last tenth of them has nobody who refers to it.
 *
 * @returns the paths
 */
export function registerObjects(file: string, count: number): StorePath[] {
  using sql = new DatabaseSync(file, { timeout: 5000 });
  sql.exec("pragma synchronous = off");
  const object = sql.prepare(
    `insert into objects (path, nar_hash, nar_size, ca, registered_at, verified_at) values (?, ?, ?, ?, ?, ?) returning id`,
  );
  const reference = sql.prepare(
    "insert into object_references (referrer, referent) values (?, ?) on conflict do nothing",
  );
  const digests = randomDigests(count);
  const now = Date.now();
  const ids: number[] = [];
  sql.exec("begin");
  const paths = digests.map((digest, index) => {
    const path = parseStorePath(`/opt/zb/store/${digest}-object-${index % 1000}`);
    const row = object.get(path, randomBytes(32), 1000 + index, content(), now, now);
    ids.push(Number(row?.["id"]));
    const wanted = Math.min(references, index);
    for (let n = 0; n < wanted; n++) {
      // Mostly to what came shortly before, as with packages that are built one from the other.
      const near = n === 0 ? index : Math.min(index, Math.floor(count * 0.9));
      const back = Math.min(near, 1 + Math.floor(Math.random() * 1000));
      reference.run(ids[index]!, ids[near - back]!);
    }
    return path;
  });
  sql.exec("commit; pragma wal_checkpoint(truncate)");
  return paths;
}

function content(): string {
  return printContentAddress({ method: "recursive", hash: Hash.of("sha256", randomBytes(32)) });
}

/** Digests as store paths have them. */
function randomDigests(count: number): string[] {
  const letters = "0123456789abcdfghijklmnpqrsvwxyz";
  const bytes = randomBytes(32 * count);
  return Array.from({ length: count }, (_, index) =>
    Array.from(bytes.subarray(32 * index, 32 * index + 32), (byte) => letters[byte & 31]).join(""),
  );
}
