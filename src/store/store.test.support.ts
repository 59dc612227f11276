/** Small objects, streams and stores for tests. */
import { Buffer } from "node:buffer";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ContentAddress } from "../format/content-address.ts";
import { exportEnd, exportObjectHeader, exportTrailer } from "../format/export-stream.ts";
import { hashBytes, sha256, type HashType } from "../format/hash.ts";
import { NarWriter } from "../format/nar/writer.ts";
import type { ObjectInfo } from "../format/object-info.ts";
import { storePathOf } from "../format/path-digest.ts";
import { parseStoreDirectory, type StoreDirectory, type StorePath } from "../format/store-path.ts";
import { ByteReader } from "../util/byte-reader.ts";
import { compareBytes } from "../util/byte-string.ts";
import { temporaryDirectory } from "../util/temp.ts";
import type { ImportReport } from "./importer.ts";
import { Store, type StoreOptions } from "./store.ts";

/** A file by its contents, an executable, a symlink, or a folder by its entries. */
export type Tree =
  | string
  | Buffer
  | { readonly executable: string }
  | { readonly target: string }
  | { readonly entries: Readonly<Record<string, Tree>> };

export function narOf(tree: Tree): Buffer {
  const chunks: Buffer[] = [];
  const writer = new NarWriter((chunk) => chunks.push(Buffer.from(chunk)));
  writeNode(writer, "", tree);
  writer.end();
  return Buffer.concat(chunks);
}

function writeNode(writer: NarWriter, name: string, tree: Tree): void {
  if (typeof tree === "string" || Buffer.isBuffer(tree) || "executable" in tree) {
    const isPlain = typeof tree === "string" || Buffer.isBuffer(tree);
    const contents = Buffer.from(isPlain ? tree : tree.executable);
    writer.file(name, !isPlain, contents.length);
    writer.data(contents);
    writer.endFile();
  } else if ("target" in tree) {
    writer.symlink(name, Buffer.from(tree.target));
  } else {
    writer.directory(name);
    for (const [child, node] of Object.entries(tree.entries).toSorted(([a], [b]) =>
      compareBytes(a, b),
    )) {
      writeNode(writer, child, node);
    }
    writer.endDirectory();
  }
}

/** An object with its NAR. */
export interface Sample extends ObjectInfo {
  readonly nar: Buffer;
  readonly ca: ContentAddress;
}

/** An object with a source address. */
export function sample(
  directory: StoreDirectory,
  name: string,
  tree: Tree,
  references: readonly StorePath[] = [],
): Sample {
  const nar = narOf(tree);
  return addressed(
    directory,
    name,
    nar,
    { method: "recursive", hash: sha256(nar, "|") },
    references,
  );
}

/** A file with a text address, as derivations have. */
export function textSample(
  directory: StoreDirectory,
  name: string,
  text: string,
  references: readonly StorePath[] = [],
): Sample {
  return addressed(
    directory,
    name,
    narOf(text),
    { method: "text", hash: sha256(text) },
    references,
  );
}

/** A file with a flat address. */
export function flatSample(
  directory: StoreDirectory,
  name: string,
  contents: string,
  type: HashType = "sha256",
): Sample {
  return addressed(directory, name, narOf(contents), {
    method: "flat",
    hash: hashBytes(type, contents),
  });
}

export function addressed(
  directory: StoreDirectory,
  name: string,
  nar: Buffer,
  ca: ContentAddress,
  references: readonly StorePath[] = [],
): Sample {
  const sorted = [...new Set(references)].toSorted(compareBytes);
  const others = { self: false, others: sorted };
  const storePath = storePathOf(directory, name, ca, others);
  return { storePath, nar, ca, references: sorted, narHash: sha256(nar), narSize: nar.length };
}

/** What stands in an export stream for an object; members of `changes` are put in place of the right ones. */
export function exported(
  object: Sample,
  changes: {
    readonly nar?: Buffer;
    readonly storePath?: string;
    readonly references?: readonly string[];
    readonly ca?: ContentAddress | undefined;
  } = {},
): Buffer {
  const { nar, storePath, references, ca } = { ...object, ...changes };
  const trailer = exportTrailer({ storePath, references, deriver: "", ca });
  return Buffer.concat([exportObjectHeader(), nar, trailer]);
}

export function streamOf(...objects: readonly (Sample | Buffer)[]): Buffer {
  const parts = objects.map((object) => (Buffer.isBuffer(object) ? object : exported(object)));
  return Buffer.concat([...parts, exportEnd()]);
}

/** The bytes in chunks of `size`. */
export async function* chunksOf(bytes: Buffer, size: number = 64 * 1024): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) {
    yield await Promise.resolve(bytes.subarray(at, at + size));
  }
}

/** Imports a stream and tells what became of its objects. */
export async function importInto(store: Store, stream: Buffer): Promise<readonly ImportReport[]> {
  await using importer = store.importer();
  await importer.read(new ByteReader(chunksOf(stream)));
  return importer.reports;
}

/** `status code` of each report. */
export function outcomes(reports: readonly ImportReport[]): string[] {
  return reports.map(({ status, code }) => (code === undefined ? status : `${status} ${code}`));
}

export async function bytesOf(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(chunks));
}

/**
 * Waits until what was registered or used until now lies in the past: what is registered bears the millisecond after, and a collection
 * leaves what was used in its own. A timer alone may be early.
 */
export async function becomesPast(): Promise<void> {
  const before = Date.now();
  while (Date.now() <= before + 1) await delay(1);
}

/** The names in a physical store directory that are not Kiln's. */
export function namesIn(directory: string): string[] {
  return readdirSync(directory)
    .filter((name) => name !== ".kiln")
    .toSorted();
}

export interface TestStore extends AsyncDisposable {
  store: Store;
  readonly options: StoreOptions;
  readonly folder: string;
  readonly directory: StoreDirectory;
  readonly real: string;
  readonly logged: string[];
  /** Closes the store and opens it again. */
  reopen(): Promise<Store>;
}

/** A new store in a temporary folder; its logical directory is /opt/zb/store unless `logical` is false. */
export async function testStore(options: { logical?: boolean } = {}): Promise<TestStore> {
  const temporary = await temporaryDirectory(tmpdir(), "kiln-store-");
  const real = join(temporary.path, "store");
  const directory = parseStoreDirectory(options.logical === false ? real : "/opt/zb/store");
  const logged: string[] = [];
  const storeOptions: StoreOptions = {
    directory,
    realDirectory: real,
    database: join(temporary.path, "var", "db.sqlite"),
    log: (level, text) => logged.push(`${level} ${text}`),
  };
  const result: TestStore = {
    store: await Store.open(storeOptions),
    options: storeOptions,
    folder: temporary.path,
    directory,
    real,
    logged,
    reopen: async () => {
      await result.store.close();
      result.store = await Store.open(storeOptions);
      return result.store;
    },
    [Symbol.asyncDispose]: async () => {
      await result.store.close();
      await temporary[Symbol.asyncDispose]();
    },
  };
  return result;
}
