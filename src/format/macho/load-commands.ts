/**
 * The load commands of a Mach-O image, as far as signing is concerned.
 *
 *     header, 28 or 32 bytes | commands: { kind, size, body } * n | data ... | signature
 *
 * Layouts: <mach-o/loader.h> of Apple's XNU.
 */
import type { Buffer } from "node:buffer";
import { uuidSize } from "./uuid.ts";
import type { Cursor, ImageHost, Scan } from "./byte-requests.ts";

/** Commands of the kinds that are looked at may not be longer. */
export const maxPartSize: number = 4 * 1024 * 1024;

const kinds = { segment: 0x1, segment64: 0x19, uuid: 0x1b, codeSignature: 0x1d };
const headSize = 8;

export interface SigningCommands {
  /** Where the signature begins, counted from the beginning of the image. */
  readonly signatureOffset: number;
  /** Where the UUID stands in the NAR, if there is one. */
  readonly uuidStart: number | undefined;
}

/** Reads integers in the byte order of an image. */
interface Integers {
  u32(bytes: Buffer, at: number): number;
}

const bigEndian: Integers = { u32: (bytes, at) => bytes.readUInt32BE(at) };
const littleEndian: Integers = { u32: (bytes, at) => bytes.readUInt32LE(at) };

/** What the first four bytes of a file say: an image, several images, or neither. */
export function kindOfMagic(magic: Buffer): "image" | "universal" | undefined {
  switch (magic.readUInt32BE(0)) {
    case 0xfeedface:
    case 0xfeedfacf:
    case 0xcefaedfe:
    case 0xcffaedfe:
      return "image";
    case 0xcafebabe:
      return "universal";
    default:
      return undefined;
  }
}

/**
 * Reads the header and the load commands, from behind the magic number. Forks at the UUID.
 *
 * @returns undefined unless there is exactly one `__TEXT` segment, exactly one signature, at most one UUID, and all is well formed
 */
export function* readCommands(
  cursor: Cursor,
  host: ImageHost,
  magic: Buffer,
): Scan<SigningCommands | undefined> {
  const integers = magic.readUInt32BE(0) >>> 8 === 0xfeedfa ? bigEndian : littleEndian;
  const is64 = magic.includes(0xcf);
  const restOfHeader = (is64 ? 32 : 28) - magic.length;
  if (!cursor.has(restOfHeader)) return undefined;
  const header = yield* cursor.take(restOfHeader);
  const count = integers.u32(header, 12);
  const end = cursor.position + integers.u32(header, 16);
  if (end > cursor.end) return undefined;

  let signatureOffset: number | undefined;
  let uuidStart: number | undefined;
  let textSegments = 0;
  for (let i = 0; i < count; i++) {
    if (cursor.position + headSize > end) return undefined;
    const head = yield* cursor.take(headSize);
    const size = integers.u32(head, 4);
    const bodySize = size - headSize;
    if (bodySize < 0 || cursor.position + bodySize > end) return undefined;
    switch (integers.u32(head, 0)) {
      case kinds.segment:
      case kinds.segment64: {
        if (size > maxPartSize) return undefined;
        const body = yield* cursor.take(bodySize);
        const layout = integers.u32(head, 0) === kinds.segment ? segment : segment64;
        if (!isSegment(body, layout, integers)) return undefined;
        if (nameIn(body) === "__TEXT") textSegments++;
        break;
      }
      case kinds.codeSignature: {
        if (signatureOffset !== undefined || size !== 16) return undefined;
        signatureOffset = integers.u32(yield* cursor.take(bodySize), 0);
        break;
      }
      case kinds.uuid:
        if (uuidStart !== undefined || bodySize !== uuidSize) return undefined;
        uuidStart = cursor.position;
        host.fork();
        yield* cursor.pass(bodySize, "blank");
        break;
      default:
        yield* cursor.pass(bodySize);
    }
  }
  if (cursor.position !== end || textSegments !== 1 || signatureOffset === undefined) {
    return undefined;
  }
  return { signatureOffset, uuidStart };
}

/** Sizes and offsets within a segment command's body. */
interface SegmentLayout {
  readonly size: number;
  readonly sectionCount: number;
  readonly sectionSize: number;
  /** Within a section. */
  readonly alignment: number;
}

const segment: SegmentLayout = { size: 48, sectionCount: 40, sectionSize: 68, alignment: 44 };
const segment64: SegmentLayout = { size: 64, sectionCount: 56, sectionSize: 80, alignment: 52 };

/** Whether the sections fill the body exactly and have possible alignments (exponents of 2). */
function isSegment(body: Buffer, layout: SegmentLayout, integers: Integers): boolean {
  if (body.length < layout.size) return false;
  const count = integers.u32(body, layout.sectionCount);
  if (body.length !== layout.size + count * layout.sectionSize) return false;
  for (let at = layout.size; at < body.length; at += layout.sectionSize) {
    if (integers.u32(body, at + layout.alignment) >= 64) return false;
  }
  return true;
}

function nameIn(body: Buffer): string {
  const name = body.toString("latin1", 0, 16);
  const end = name.indexOf("\0");
  return end === -1 ? name : name.slice(0, end);
}
