import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseContentAddress, printContentAddress } from "../../src/format/content-address.ts";
import {
  exportEnd,
  exportObjectHeader,
  exportTrailer,
  readExport,
  type ByteReaderLike,
  type ExportReceiver,
  type ExportTrailer,
} from "../../src/format/export-stream.ts";
import { ignoring, NarReader } from "../../src/format/nar/reader.ts";
import { parseStorePath } from "../../src/format/store-path.ts";
import { checkClaim } from "../../src/store/address.ts";
import { Arrival } from "../../src/store/arrival.ts";
import { DigestThread } from "../../src/store/digest-thread.ts";
import { Syncer } from "../../src/store/syncer.ts";
import { KilnError } from "../../src/util/kiln-error.ts";
import { temporaryDirectory } from "../../src/util/temp.ts";
import { vectorTests } from "./load.ts";

interface ExportedObject {
  readonly storePath: string;
  readonly references: readonly string[];
  readonly deriver: string;
  /** Empty or null for none. */
  readonly ca: string | null;
  readonly nar: string;
}

vectorTests("export", {
  exportWrite: ({ objects }: { objects: readonly ExportedObject[] }) => {
    const stream = Buffer.concat([
      ...objects.flatMap((object) => [
        exportObjectHeader(),
        Buffer.from(object.nar, "base64"),
        exportTrailer({ ...object, ca: addressOf(object) }),
      ]),
      exportEnd(),
    ]);
    return { stream: stream.toString("base64"), size: stream.length, sha256: sha256(stream) };
  },
  exportRead: async (input: { stream: string }) => {
    const source = new OneChunk(Buffer.from(input.stream, "base64"));
    const receiver = new Collector();
    await readExport(source, receiver);
    return { objects: receiver.objects, bytesRead: source.taken };
  },
  // What a server does with an object it was sent.
  importVerify: async (object: ExportedObject) => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-vector-");
    const tree = join(folder.path, "tree");
    const syncer = new Syncer(folder.path, "process");
    const arrival = new Arrival({ syncer, digests: new DigestThread() }, () => ({ tree }));
    const nar = Buffer.from(object.nar, "base64");
    const taken = arrival.write(nar);
    arrival.close();
    if (!arrival.finished || taken < nar.length) {
      throw new KilnError("nar.truncated", "an object is one whole NAR");
    }
    const claim = {
      storePath: parseStorePath(object.storePath),
      references: object.references.map(parseStorePath),
      ca: addressOf(object),
    };
    return {
      ca: printContentAddress(await checkClaim(claim, await arrival.survey(true), () => tree)),
    };
  },
});

function addressOf({ ca }: ExportedObject): ExportTrailer["ca"] {
  return ca === null || ca === "" ? undefined : parseContentAddress(ca);
}

/** A source that comes in one chunk, and counts what of it is used. */
class OneChunk implements ByteReaderLike {
  taken = 0;
  #rest: Buffer;

  constructor(bytes: Buffer) {
    this.#rest = bytes;
  }

  chunk(): Promise<Buffer | undefined> {
    const chunk = this.#rest.length > 0 ? this.#rest : undefined;
    this.taken += this.#rest.length;
    this.#rest = Buffer.alloc(0);
    return Promise.resolve(chunk);
  }

  unread(rest: Buffer): void {
    this.taken -= rest.length;
    this.#rest = rest;
  }
}

class Collector implements ExportReceiver {
  readonly objects: unknown[] = [];
  #reader = new NarReader(ignoring);
  #hash = createHash("sha256");

  get finished(): boolean {
    return this.#reader.finished;
  }

  write(chunk: Buffer): number {
    const taken = this.#reader.write(chunk);
    this.#hash.update(chunk.subarray(0, taken));
    return taken;
  }

  receive({ storePath, references, deriver, ca }: ExportTrailer): Promise<void> {
    this.objects.push({
      storePath,
      references,
      deriver,
      ca: ca === undefined ? null : printContentAddress(ca),
      narSha256: this.#hash.digest("hex"),
      narSize: this.#reader.bytesRead,
    });
    this.#reader = new NarReader(ignoring);
    this.#hash = createHash("sha256");
    return Promise.resolve();
  }
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
