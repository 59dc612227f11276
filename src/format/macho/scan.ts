/**
 * Finds out which parts of a Mach-O file are computed from the rest of it. An image counts only when the digest occurs in its code
 * and its signature is one that a linker made; everything else, broken files included, is plain bytes.
 */
import { Buffer } from "node:buffer";
import type { MachoSignature, MachoUUID } from "../references/rewrite.ts";
import { hashSize } from "../hash.ts";
import { Cursor, type ImageHost, type Scan } from "./byte-requests.ts";
import { readSignature } from "./code-signature.ts";
import { kindOfMagic, maxPartSize, readCommands } from "./load-commands.ts";

export const magicSize = 4;
const blobHeadSize = 8;
const maxImages = 128;
const entrySize = 20;

/** Whether a file that begins so is worth a scan. Needs four bytes to be sure. */
export function maybeMacho(beginning: Buffer): boolean {
  return beginning.length < magicSize || kindOfMagic(beginning) !== undefined;
}

/**
 * Scans the file whose contents lie in `[start, end)` of the NAR.
 *
 * @param found gets the rewrites of an image as soon as its signature has gone by, in the order to apply them
 */
export function* scanMacho(
  start: number,
  end: number,
  host: ImageHost,
  found: (rewrite: MachoUUID | MachoSignature) => void,
): Scan<void> {
  const cursor = new Cursor(start, end);
  if (!cursor.has(magicSize)) return;
  const magic = yield* cursor.take(magicSize);
  switch (kindOfMagic(magic)) {
    case "image":
      yield* scanImage(cursor, magic, host, found);
      break;
    case "universal":
      yield* scanUniversal(cursor, host, found);
      break;
    case undefined:
      break;
  }
}

/** Several images in one file, with an index of big-endian entries: CPU, subtype, offset, size, alignment. */
function* scanUniversal(
  cursor: Cursor,
  host: ImageHost,
  found: (rewrite: MachoUUID | MachoSignature) => void,
): Scan<void> {
  const start = cursor.position - magicSize;
  if (!cursor.has(4)) return;
  const count = (yield* cursor.take(4)).readUInt32BE(0);
  if (count === 0 || count > maxImages || !cursor.has(count * entrySize)) return;
  const index = yield* cursor.take(count * entrySize);
  const entries = Array.from({ length: count }, (_, i) => ({
    offset: index.readUInt32BE(i * entrySize + 8),
    size: index.readUInt32BE(i * entrySize + 12),
    alignment: index.readUInt32BE(i * entrySize + 16),
  }));
  if (entries.some(({ alignment }) => alignment >= 64)) return;
  for (const { offset, size } of entries.toSorted((a, b) => a.offset - b.offset)) {
    const imageStart = start + offset;
    const imageEnd = imageStart + size;
    if (imageEnd > cursor.end) return;
    // An image that overlaps the one before it, or the index, is left out.
    if (imageStart < cursor.position) continue;
    yield* cursor.pass(imageStart - cursor.position);
    const image = new Cursor(imageStart, imageEnd);
    if (image.has(magicSize)) {
      const magic = yield* image.take(magicSize);
      if (kindOfMagic(magic) === "image") yield* scanImage(image, magic, host, found);
    }
    cursor.position = image.position;
    yield* cursor.pass(imageEnd - cursor.position);
  }
}

/** An image, from behind its magic number. */
function* scanImage(
  cursor: Cursor,
  magic: Buffer,
  host: ImageHost,
  found: (rewrite: MachoUUID | MachoSignature) => void,
): Scan<void> {
  const imageStart = cursor.position - magicSize;
  try {
    const commands = yield* readCommands(cursor, host, magic);
    if (commands === undefined) return;
    const codeEnd = imageStart + commands.signatureOffset;
    if (codeEnd < cursor.position || codeEnd > cursor.end - blobHeadSize) return;
    yield* cursor.pass(codeEnd - cursor.position);
    if (!host.occursSince(imageStart)) return;

    host.fork();
    const signature = yield* takeSignature(cursor);
    const directory = signature && readSignature(signature, commands.signatureOffset);
    if (signature === undefined || directory === undefined) return;
    const { hashOffset, hashSlots, hashType, pageSize } = directory;
    signature.fill(0, hashOffset, hashOffset + hashSlots * hashSize(hashType));
    host.feedFork(signature);
    host.adoptFork();
    const { uuidStart } = commands;
    if (uuidStart !== undefined) found({ type: "machoUUID", imageStart, uuidStart, codeEnd });
    found({
      type: "machoSignature",
      imageStart,
      codeEnd,
      pageSize,
      hashType,
      hashOffset: codeEnd + hashOffset,
      hashSlots,
    });
  } finally {
    host.dropFork();
  }
}

/** The whole signature; undefined when it is too large or does not end in its image. */
function* takeSignature(cursor: Cursor): Scan<Buffer | undefined> {
  const head = yield* cursor.take(blobHeadSize, "hold");
  const size = head.readUInt32BE(4);
  if (size < blobHeadSize || size > maxPartSize || !cursor.has(size - blobHeadSize))
    return undefined;
  if (size === blobHeadSize) return head;
  return Buffer.concat([head, yield* cursor.take(size - blobHeadSize, "hold")]);
}
