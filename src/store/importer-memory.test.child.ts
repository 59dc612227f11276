/** Imports one large object, made up as it goes, into a store in the given folder; prints the peak of the process's memory in MiB. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { exportEnd, exportObjectHeader, exportTrailer } from "../format/export-stream.ts";
import { Hash } from "../format/hash.ts";
import { NarWriter } from "../format/nar/writer.ts";
import { storePathOf } from "../format/path-digest.ts";
import { defaultStoreDirectory } from "../format/store-path.ts";
import { ByteReader } from "../util/byte-reader.ts";
import { Store } from "./store.ts";

const [, , folder = "", mebibytes = ""] = process.argv;
const block = Buffer.alloc(64 * 1024, "0123456789abcdef");

async function* stream(): AsyncGenerator<Buffer> {
  const hash = createHash("sha256");
  const chunks: Buffer[] = [];
  const writer = new NarWriter((chunk) => chunks.push(chunk));
  const taken = function* (): Generator<Buffer> {
    for (const chunk of chunks.splice(0)) {
      hash.update(chunk);
      yield chunk;
    }
  };
  yield await Promise.resolve(exportObjectHeader());
  writer.file("", false, Number(mebibytes) * 1024 * 1024);
  for (let i = 0; i < Number(mebibytes) * 16; i++) {
    writer.data(block);
    yield* taken();
  }
  writer.endFile();
  writer.end();
  yield* taken();
  const ca = {
    method: "recursive",
    hash: Hash.of("sha256", hash.update("|").digest()),
  } as const;
  const references = { self: false, others: [] };
  const storePath = storePathOf(defaultStoreDirectory, "large", ca, references);
  yield exportTrailer({ storePath, references: [], deriver: "", ca });
  yield exportEnd();
}

const store = await Store.open({
  directory: defaultStoreDirectory,
  realDirectory: join(folder, "store"),
  database: join(folder, "db.sqlite"),
});
const importer = store.importer();
await importer.read(new ByteReader(stream()));
const [report] = importer.reports;
await importer[Symbol.asyncDispose]();
await store.close();
console.log(`${report?.status} ${Math.round(process.resourceUsage().maxRSS / 1024)}`);
