/**
 * Sending objects: everything that can be known to fail is looked at before the first byte, and every object is read once and hashed as
 * it is sent. A small one is hashed here, piece by piece; a large one by the thread that reads it, which gives the hash after the last
 * piece. An object that turns out to be another than was registered ends the stream, before its trailer.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { dumpNar } from "../files/dump.ts";
import { exportEnd, exportObjectHeader, exportTrailer } from "../format/export-stream.ts";
import { toExportTrailer, type ObjectInfo } from "../format/object-info.ts";
import type { StorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import { Pacer } from "../util/pacer.ts";
import { referenceGraph } from "./database/closure.ts";
import { exportOrder } from "./export-order.ts";
import { isFaultOfObject, noteDamage } from "./integrity.ts";
import type { StoreParts } from "./parts.ts";

export interface ExportOptions {
  /** Send exactly the given objects, in the given order, duplicates too; default false: their closures, in zb's order. */
  readonly excludeReferences?: boolean;
}

/** Objects of this size, in bytes, and larger ones are read and hashed in a thread. */
const largeObject = 4 * 1024 * 1024;

const objectHeader = exportObjectHeader();

/** Objects that are looked up at once. */
const pageSize = 200;

type Piece = Buffer | AsyncIterable<Buffer>;

/** For small objects: what is in it is copied at once. */
const scratch = Buffer.allocUnsafeSlow(8 * 1024);

/** Smaller pieces are gathered until they are this many bytes. */
const chunkSize = 64 * 1024;

/** An export that has everything it needs. */
export class ExportPlan {
  /** The objects in the order in which they are sent. */
  readonly paths: readonly StorePath[];
  readonly #parts: StoreParts;
  readonly #infos: readonly ObjectInfo[];

  constructor(parts: StoreParts, infos: readonly ObjectInfo[]) {
    this.#parts = parts;
    this.#infos = infos;
    this.paths = infos.map((info) => info.storePath);
  }

  /**
   * The bytes of the export stream, read from disk as they are taken. A chunk is the receiver's for good; with `reuse` only until the
   * next one is asked for. Meanwhile the objects cannot be removed.
   *
   * @throws KilnError `store.damaged` when an object turns out not to be what was registered: the receiver must not take what it got
   *   for complete, and cannot, since the end is missing
   */
  async *chunks({ reuse = false }: { readonly reuse?: boolean } = {}): AsyncGenerator<
    Buffer,
    void,
    void
  > {
    using _kept = this.#parts.roots.protect(this.paths);
    for (const path of this.paths) this.#parts.usage.note(path);
    const pacer = new Pacer();
    for (const chunk of gather(this.#pieces(reuse))) {
      await pacer.pause();
      if (Buffer.isBuffer(chunk)) yield chunk;
      else yield* chunk;
    }
  }

  *#pieces(reuse: boolean): Generator<Piece, void, void> {
    for (const info of this.#infos) {
      yield objectHeader;
      if (info.narSize >= largeObject && this.#parts.reading.isFree)
        yield this.#largeNar(info, reuse);
      else yield* this.#nar(info);
      yield exportTrailer(toExportTrailer(info));
    }
    yield exportEnd();
  }

  *#nar(info: ObjectInfo): Generator<Piece, void, void> {
    const hash = createHash("sha256");
    let size = 0;
    try {
      const file = this.#parts.files.pathOf(info.storePath);
      // A new buffer for each of many small objects would cost more than reading them.
      const how = info.narSize < chunkSize ? { scratch } : { chunkSize: 2 * chunkSize };
      for (const piece of dumpNar(file, how)) {
        size += piece.length;
        // A file that has grown must not be sent on and on.
        if (size > info.narSize) break;
        hash.update(piece);
        yield piece;
      }
    } catch (error) {
      throw isFaultOfObject(error) ? this.#damaged(info, error) : error;
    }
    if (size !== info.narSize) throw this.#damaged(info);
    if (hash.digest("hex") !== info.narHash.rawBase16()) throw this.#damaged(info);
  }

  async *#largeNar(info: ObjectInfo, reuse: boolean): AsyncGenerator<Buffer, void, void> {
    const { reading, files } = this.#parts;
    const chunks = reading.read(files.pathOf(info.storePath), { reuse });
    let size = 0;
    try {
      for (;;) {
        const { done, value } = await chunks.next();
        if (done === true) {
          if (size === info.narSize && value.equals(info.narHash)) return;
          break;
        }
        size += value.length;
        // A file that has grown must not be sent on and on.
        if (size > info.narSize) break;
        yield value;
      }
    } catch (error) {
      throw isFaultOfObject(error) ? this.#damaged(info, error) : error;
    } finally {
      await chunks.return(info.narHash);
    }
    throw this.#damaged(info);
  }

  #damaged(info: ObjectInfo, cause?: unknown): KilnError {
    noteDamage(this.#parts, info);
    return new KilnError("store.damaged", `${info.storePath} is not what was registered`, {
      kind: "internal",
      path: info.storePath,
      hint: "import the object again, or remove it",
      cause,
    });
  }
}

/**
 * Finds the objects to send, in order, and that they are there.
 *
 * @throws KilnError `store.missing`
 */
export async function planExport(
  parts: StoreParts,
  paths: readonly StorePath[],
  { excludeReferences = false }: ExportOptions = {},
): Promise<ExportPlan> {
  const ordered = await order(parts, paths, excludeReferences);
  const infos: ObjectInfo[] = [];
  const pacer = new Pacer();
  for (let at = 0; at < ordered.length; at += pageSize) {
    infos.push(...parts.objects.infos(ordered.slice(at, at + pageSize)));
    await pacer.pause();
  }
  for (const { storePath } of infos) {
    if (pacer.due) await pacer.pause();
    if (!parts.files.has(storePath)) {
      throw new KilnError("store.missing", `${storePath} is registered, but its files are gone`, {
        kind: "internal",
        path: storePath,
        hint: "import the object again, or remove it",
      });
    }
  }
  return new ExportPlan(parts, infos);
}

async function order(
  parts: StoreParts,
  paths: readonly StorePath[],
  excludeReferences: boolean,
): Promise<readonly StorePath[]> {
  if (excludeReferences) return paths;
  const graph = await referenceGraph(parts.database, paths);
  return await exportOrder(paths, (path) => graph.get(path) ?? []);
}

/** The same bytes in pieces worth sending; small ones may change after the next was asked for. */
function* gather(pieces: Iterable<Piece>): Generator<Piece, void, void> {
  let gathered = Buffer.allocUnsafe(chunkSize);
  let length = 0;
  for (const piece of pieces) {
    if (!Buffer.isBuffer(piece)) {
      if (length > 0) yield gathered.subarray(0, length);
      gathered = Buffer.allocUnsafe(chunkSize);
      length = 0;
      yield piece;
      continue;
    }
    if (length + piece.length > chunkSize) {
      if (length > 0) yield gathered.subarray(0, length);
      gathered = Buffer.allocUnsafe(chunkSize);
      length = 0;
    }
    if (piece.length >= chunkSize) yield piece;
    else length += piece.copy(gathered, length);
  }
  if (length > 0) yield gathered.subarray(0, length);
}
