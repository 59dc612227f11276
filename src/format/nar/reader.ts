/**
 * NAR bytes in, events out.
 *
 * The reader is pushed: chunks of any size go in, nothing is waited for, and only a string cut by the end of a chunk is copied.
 * It accepts exactly one spelling of every tree, so whatever it accepts is again the same bytes when written: entries strictly
 * ascending, zero padding, one order of tokens.
 *
 *     archive = "nix-archive-1" node
 *     node    = "(" "type" ( "regular" [ "executable" "" ] "contents" BYTES
 *                          | "symlink" "target" BYTES
 *                          | "directory" { "entry" "(" "name" BYTES "node" node ")" } ) ")"
 */
import { Buffer } from "node:buffer";
import { compareBytes } from "../../util/byte-string.ts";
import { KilnError } from "../../util/kiln-error.ts";
import {
  badPadding,
  badTarget,
  notAscending,
  tooDeep,
  tooLarge,
  tooLong,
  trailingBytes,
  unexpectedToken,
} from "./faults.ts";
import { maxDepth, maxFileSize, maxNameLength, maxTargetLength } from "./limits.ts";
import { readEntryName } from "./names.ts";
import { hasFrame, maxTokenLength, paddingAfter, tokens, wordSize } from "./tokens.ts";

/**
 * What happens in a NAR, in order. The root's name is empty. `offset` is where the first byte of the contents or target lies in
 * the NAR. The chunks given to `data` and the target given to `symlink` are valid only during the call.
 */
export interface NarSink {
  directory(name: string): void;
  endDirectory(): void;
  /** `size` bytes follow in calls of `data` (none for an empty file), then `endFile`. */
  file(name: string, executable: boolean, size: number, offset: number): void;
  data(chunk: Buffer): void;
  endFile(): void;
  symlink(name: string, target: Buffer, offset: number): void;
}

/** Takes no notice: for whoever wants to know only whether and where a NAR ends. */
export const ignoring: NarSink = {
  directory() {},
  endDirectory() {},
  file() {},
  data() {},
  endFile() {},
  symlink() {},
};

/** What the reader expects next. All but `data`, `padding` and `finished` are frames. */
const expecting = {
  magic: 0,
  open: 1,
  type: 2,
  kind: 3,
  executableOrContents: 4,
  executableValue: 5,
  contents: 6,
  contentsLength: 7,
  targetWord: 8,
  target: 9,
  closeNode: 10,
  entryOrClose: 11,
  entryOpen: 12,
  nameWord: 13,
  name: 14,
  nodeWord: 15,
  closeEntry: 16,
  data: 17,
  padding: 18,
  finished: 19,
} as const;

/** The strings that are not the format's own words, and how long each kind may be. */
const stringKinds: { readonly [state: number]: "name" | "target" } = {
  [expecting.name]: "name",
  [expecting.target]: "target",
};
const limits = { token: maxTokenLength, name: maxNameLength, target: maxTargetLength };

/** Bytes of the longest frame. */
const maxFrame = wordSize + maxTargetLength + wordSize;
const noBytes = Buffer.alloc(0);

/** The expectations that are a single word, with the word and what follows it. */
const words: { readonly [state: number]: { frame: Buffer; next: number } } = {
  [expecting.magic]: { frame: tokens.magic, next: expecting.open },
  [expecting.open]: { frame: tokens.open, next: expecting.type },
  [expecting.type]: { frame: tokens.type, next: expecting.kind },
  [expecting.executableValue]: { frame: tokens.empty, next: expecting.contents },
  [expecting.contents]: { frame: tokens.contents, next: expecting.contentsLength },
  [expecting.targetWord]: { frame: tokens.target, next: expecting.target },
  [expecting.entryOpen]: { frame: tokens.open, next: expecting.nameWord },
  [expecting.nameWord]: { frame: tokens.name, next: expecting.name },
  [expecting.nodeWord]: { frame: tokens.node, next: expecting.open },
  [expecting.closeEntry]: { frame: tokens.close, next: expecting.entryOrClose },
};

export class NarReader {
  readonly #sink: NarSink;
  #state: number = expecting.magic;
  /** Where in the NAR the next frame, or the rest of the contents, begins. */
  #position = 0;
  /** The beginning of a frame that the last chunk cut. Most NARs are small and come uncut: they need no room for it. */
  #held: Buffer = noBytes;
  #heldLength = 0;
  /** Bytes of contents or padding still to come. */
  #remaining = 0;
  #padding = 0;
  /** For each open directory, the outermost first, the name of its last entry. */
  readonly #lastNames: string[] = [];
  #name = "";
  #executable = false;
  #broken = false;

  constructor(sink: NarSink) {
    this.#sink = sink;
  }

  /** Whether the NAR is complete. */
  get finished(): boolean {
    return this.#state === expecting.finished;
  }

  /** How many bytes of a file's contents come next; 0 when something else does. */
  get contentsLeft(): number {
    return this.#state === expecting.data ? this.#remaining : 0;
  }

  /** How many bytes were consumed so far. */
  get bytesRead(): number {
    return this.#position + this.#heldLength;
  }

  /**
   * Reads on. What the sink throws goes through; after that, as after any error, the reader is of no more use.
   *
   * @returns how many bytes of `chunk` belong to the NAR: fewer than it has only when the NAR ends in it
   * @throws KilnError `nar.syntax`, `nar.padding`, `nar.name`, `nar.order`, `nar.target`, `nar.size`, `nar.depth`; the message
   *   tells the byte offset
   */
  write(chunk: Buffer): number {
    if (this.#broken) throw new KilnError("nar.syntax", "this NAR was already found to be bad");
    this.#broken = true;
    let at = 0;
    while (at < chunk.length && this.#state !== expecting.finished) {
      if (this.#state === expecting.data) at = this.#readData(chunk, at);
      else if (this.#state === expecting.padding) at = this.#readPadding(chunk, at);
      else if (this.#heldLength > 0) at = this.#readHeld(chunk, at);
      else {
        const size = this.#frameSize(chunk, at, chunk.length);
        if (size === 0 || at + size > chunk.length) {
          if (this.#held.length === 0) this.#held = Buffer.allocUnsafe(maxFrame);
          this.#heldLength = chunk.copy(this.#held, 0, at);
          at = chunk.length;
        } else {
          this.#readFrame(chunk, at, at + size);
          at += size;
        }
      }
    }
    this.#broken = false;
    return at;
  }

  /** @throws KilnError `nar.truncated` unless the NAR is complete. */
  end(): void {
    if (this.finished) return;
    throw new KilnError("nar.truncated", `the NAR ends early, after ${this.bytesRead} bytes`);
  }

  #readData(chunk: Buffer, at: number): number {
    const end = Math.min(at + this.#remaining, chunk.length);
    this.#remaining -= end - at;
    this.#position += end - at;
    this.#sink.data(at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end));
    if (this.#remaining === 0) this.#endData();
    return end;
  }

  #endData(): void {
    this.#sink.endFile();
    this.#state = this.#padding > 0 ? expecting.padding : expecting.closeNode;
  }

  #readPadding(chunk: Buffer, at: number): number {
    for (; at < chunk.length && this.#padding > 0; at++, this.#padding--, this.#position++) {
      if (chunk[at] !== 0) throw badPadding(this.#position);
    }
    if (this.#padding === 0) this.#state = expecting.closeNode;
    return at;
  }

  /** Completes the held frame with just as many bytes as it needs. */
  #readHeld(chunk: Buffer, at: number): number {
    const size = this.#frameSize(this.#held, 0, this.#heldLength);
    const missing = (size === 0 ? wordSize : size) - this.#heldLength;
    const taken = chunk.copy(this.#held, this.#heldLength, at, at + missing);
    this.#heldLength += taken;
    // A length that has only now become complete is looked at before anything else is taken.
    if (size === 0) {
      if (taken === missing) this.#finishHeld(this.#frameSize(this.#held, 0, this.#heldLength));
    } else {
      this.#finishHeld(size);
    }
    return at + taken;
  }

  #finishHeld(size: number): void {
    if (this.#heldLength < size) return;
    this.#heldLength = 0;
    this.#readFrame(this.#held, 0, size);
  }

  /** The size of the frame at `at`, or 0 when its length is not all there yet. */
  #frameSize(bytes: Buffer, at: number, end: number): number {
    if (at + wordSize > end) return 0;
    if (this.#state === expecting.contentsLength) return wordSize;
    const length = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    const isLong =
      bytes[at + 2] !== 0 ||
      bytes[at + 3] !== 0 ||
      bytes[at + 4] !== 0 ||
      bytes[at + 5] !== 0 ||
      bytes[at + 6] !== 0 ||
      bytes[at + 7] !== 0;
    const what = stringKinds[this.#state] ?? "token";
    if (isLong || length > limits[what]) {
      throw tooLong(what, bytes.readBigUInt64LE(at), limits[what], this.#position);
    }
    return wordSize + length + paddingAfter(length);
  }

  #readFrame(bytes: Buffer, at: number, end: number): void {
    const word = words[this.#state];
    if (word === undefined) {
      this.#readChoice(bytes, at, end);
    } else {
      this.#is(bytes, at, word.frame);
      this.#state = word.next;
    }
    this.#position += end - at;
  }

  /** A frame that is not just the one word that must come. */
  #readChoice(bytes: Buffer, at: number, end: number): void {
    switch (this.#state) {
      case expecting.kind:
        this.#readKind(bytes, at);
        break;
      case expecting.executableOrContents:
        this.#executable = this.#is(bytes, at, tokens.executable, tokens.contents);
        this.#state = this.#executable ? expecting.executableValue : expecting.contentsLength;
        break;
      case expecting.contentsLength:
        this.#readLength(bytes, at);
        break;
      case expecting.target:
        this.#readTarget(bytes, at, end);
        break;
      case expecting.name:
        this.#readName(bytes, at, end);
        break;
      case expecting.entryOrClose:
        if (this.#is(bytes, at, tokens.entry, tokens.close)) this.#state = expecting.entryOpen;
        else this.#closeDirectory();
        break;
      default:
        this.#is(bytes, at, tokens.close);
        this.#endNode();
    }
  }

  /** Whether the frame is the first of these words; throws when it is neither. */
  #is(bytes: Buffer, at: number, first: Buffer, second?: Buffer): boolean {
    if (hasFrame(bytes, at, first)) return true;
    if (second !== undefined && hasFrame(bytes, at, second)) return false;
    const expected = second === undefined ? [first] : [first, second];
    throw unexpectedToken(bytes, at, this.#position, expected);
  }

  #readKind(bytes: Buffer, at: number): void {
    if (hasFrame(bytes, at, tokens.regular)) {
      this.#state = expecting.executableOrContents;
    } else if (hasFrame(bytes, at, tokens.directory)) {
      if (this.#lastNames.length === maxDepth) throw tooDeep(maxDepth, this.#position);
      this.#state = expecting.entryOrClose;
      this.#lastNames.push("");
      this.#sink.directory(this.#name);
    } else {
      this.#is(bytes, at, tokens.symlink);
      this.#state = expecting.targetWord;
    }
  }

  #readLength(bytes: Buffer, at: number): void {
    const length = bytes.readBigUInt64LE(at);
    if (length > maxFileSize) throw tooLarge(length, this.#position);
    this.#remaining = Number(length);
    this.#padding = paddingAfter(this.#remaining);
    this.#sink.file(this.#name, this.#executable, this.#remaining, this.#position + wordSize);
    if (this.#remaining === 0) this.#endData();
    else this.#state = expecting.data;
  }

  #readTarget(bytes: Buffer, at: number, end: number): void {
    const target = this.#stringIn(bytes, at, end);
    if (target.length === 0) throw badTarget("is empty", this.#position);
    if (target.includes(0)) throw badTarget("holds a NUL", this.#position);
    this.#state = expecting.closeNode;
    this.#sink.symlink(this.#name, target, this.#position + wordSize);
  }

  #readName(bytes: Buffer, at: number, end: number): void {
    const length = this.#stringIn(bytes, at, end).length;
    const start = at + wordSize;
    this.#name = readEntryName(bytes, start, start + length, this.#position);
    const last = this.#lastNames.at(-1) ?? "";
    if (compareBytes(last, this.#name) >= 0) {
      throw notAscending(this.#name, last, this.#position);
    }
    this.#lastNames[this.#lastNames.length - 1] = this.#name;
    this.#state = expecting.nodeWord;
  }

  /** The string in a frame whose padding is found to be zeros. */
  #stringIn(bytes: Buffer, at: number, end: number): Buffer {
    const stringEnd = at + wordSize + ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8));
    for (let i = stringEnd; i < end; i++) {
      if (bytes[i] !== 0) throw badPadding(this.#position + i - at);
    }
    return bytes.subarray(at + wordSize, stringEnd);
  }

  #closeDirectory(): void {
    this.#lastNames.pop();
    this.#sink.endDirectory();
    this.#endNode();
  }

  #endNode(): void {
    this.#state = this.#lastNames.length === 0 ? expecting.finished : expecting.closeEntry;
  }
}

/**
 * Reads a NAR that is in memory as a whole.
 *
 * @throws KilnError `nar.truncated`, `nar.trailing` when there are bytes after the end, and what {@link NarReader.write} throws
 */
export function readNar(bytes: Buffer, sink: NarSink): void {
  const reader = new NarReader(sink);
  const length = reader.write(bytes);
  reader.end();
  if (length < bytes.length) throw trailingBytes(length);
}
