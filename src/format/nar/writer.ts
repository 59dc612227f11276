/**
 * Events in, NAR bytes out: the reader's inverse. Events that make no NAR (entries out of order, more data than announced, a
 * directory left open) are faults of the caller and throw.
 */
import { Buffer } from "node:buffer";
import { compareBytes } from "../../util/byte-string.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { maxDepth, maxNameLength, maxTargetLength } from "./limits.ts";
import { writeEntryName } from "./names.ts";
import type { NarSink } from "./reader.ts";
import { encodeStrings, paddingAfter, tokens, wordSize } from "./tokens.ts";

const beforeName = encodeStrings("entry", "(", "name");
const beforeNode = tokens.node;
const beforeContents = encodeStrings("(", "type", "regular", "contents");
const beforeExecutableContents = encodeStrings(
  "(",
  "type",
  "regular",
  "executable",
  "",
  "contents",
);
const beforeTarget = encodeStrings("(", "type", "symlink", "target");
const beforeEntries = encodeStrings("(", "type", "directory");
const afterEntry = encodeStrings(")", ")");

/** Data at least this long is handed on as it is; shorter pieces are gathered. */
const passThrough = 32 * 1024;

/** Most NARs are small: room for those is made first. All of it is memory of its own, which can be handed to a thread. */
const firstSize = 2048;

export interface NarWriterOptions {
  /** Size of the buffers in which small pieces are gathered, in bytes; default 64 KiB, at least 8 KiB. */
  readonly chunkSize?: number;
  /** Where small pieces are gathered, instead: 8 KiB or more. What is emitted then is valid only until the next event. */
  readonly scratch?: Buffer | undefined;
}

export class NarWriter implements NarSink {
  readonly #emit: (chunk: Buffer) => void;
  readonly #chunkSize: number;
  readonly #isScratch: boolean;
  #buffer: Buffer;
  #length = 0;
  #emitted = 0;
  /** For each open directory, the outermost first, the name of its last entry. */
  readonly #lastNames: string[] = [];
  #inFile = false;
  #fileSize = 0;
  #remaining = 0;
  #finished = false;

  /**
   * @param emit gets the bytes in order. Chunks of gathered pieces are its to keep; long data is passed on as it came, with its
   *   owner's rules.
   */
  constructor(emit: (chunk: Buffer) => void, options: NarWriterOptions = {}) {
    this.#emit = emit;
    const { scratch, chunkSize = 64 * 1024 } = options;
    this.#isScratch = scratch !== undefined;
    this.#chunkSize = Math.max(chunkSize, 8 * 1024);
    this.#buffer = scratch ?? Buffer.allocUnsafeSlow(firstSize);
    this.#put(tokens.magic);
  }

  /** Whether the root is complete. */
  get finished(): boolean {
    return this.#finished;
  }

  /** How many bytes of the NAR there are so far, those not emitted yet included. */
  get bytesWritten(): number {
    return this.#emitted + this.#length;
  }

  directory(name: string): void {
    this.#beginNode(name);
    if (this.#lastNames.length === maxDepth) throw misuse(`more than ${maxDepth} directories deep`);
    this.#put(beforeEntries);
    this.#lastNames.push("");
  }

  endDirectory(): void {
    if (this.#inFile) throw misuse("a file is not ended");
    if (this.#lastNames.pop() === undefined) throw misuse("no directory is open");
    this.#endNode();
  }

  file(name: string, executable: boolean, size: number): void {
    if (!Number.isSafeInteger(size) || size < 0) throw misuse(`a file cannot have ${size} bytes`);
    this.#beginNode(name);
    this.#put(executable ? beforeExecutableContents : beforeContents);
    this.#putInteger(size);
    this.#inFile = true;
    this.#fileSize = size;
    this.#remaining = size;
  }

  data(chunk: Buffer): void {
    if (!this.#inFile) throw misuse("data outside of a file");
    if (chunk.length > this.#remaining) throw misuse(`more data than ${this.#fileSize} bytes`);
    this.#remaining -= chunk.length;
    if (chunk.length < passThrough) {
      this.#put(chunk);
    } else {
      this.flush();
      this.#emitted += chunk.length;
      this.#emit(chunk);
    }
  }

  endFile(): void {
    if (!this.#inFile) throw misuse("no file is open");
    if (this.#remaining > 0) throw misuse(`${this.#remaining} of ${this.#fileSize} bytes missing`);
    this.#inFile = false;
    this.#pad(this.#fileSize);
    this.#endNode();
  }

  symlink(name: string, target: Buffer): void {
    if (target.length > maxTargetLength) throw misuse(`a target of ${target.length} bytes`);
    this.#beginNode(name);
    this.#put(beforeTarget);
    this.#putInteger(target.length);
    this.#put(target);
    this.#pad(target.length);
    this.#endNode();
  }

  /** Emits what was gathered so far. */
  flush(): void {
    if (this.#length === 0) return;
    const chunk = this.#take();
    if (!this.#isScratch) this.#buffer = Buffer.allocUnsafeSlow(this.#chunkSize);
    this.#emit(chunk);
  }

  /** Emits the rest; the NAR must be complete. */
  end(): void {
    if (!this.#finished) throw misuse("the root is not complete");
    if (this.#length > 0) this.#emit(this.#take());
  }

  #beginNode(name: string): void {
    if (this.#inFile) throw misuse("a file is not ended");
    if (this.#finished) throw misuse("there is one root only");
    const depth = this.#lastNames.length;
    if (depth === 0) {
      if (name !== "") throw misuse("the root has no name");
      return;
    }
    this.#put(beforeName);
    // One name fits as a whole, so that it can be written in place.
    if (this.#length + 2 * wordSize + 4 * maxNameLength > this.#buffer.length) this.#spill();
    const start = this.#length + wordSize;
    const length = writeEntryName(name, this.#buffer, start, this.bytesWritten);
    const last = this.#lastNames[depth - 1] ?? "";
    if (compareBytes(last, name) >= 0) {
      const [before, after] = [JSON.stringify(last), JSON.stringify(name)];
      throw new KilnError("nar.order", `entry ${after} of a NAR must sort after ${before}`);
    }
    this.#lastNames[depth - 1] = name;
    this.#putInteger(length);
    this.#length += length;
    this.#pad(length);
    this.#put(beforeNode);
  }

  /** As {@link flush}, in the middle of an event. */
  #spill(): void {
    if (this.#isScratch) this.#emit(Buffer.from(this.#take()));
    else this.flush();
  }

  #take(): Buffer {
    const chunk = this.#buffer.subarray(0, this.#length);
    this.#emitted += this.#length;
    this.#length = 0;
    return chunk;
  }

  #endNode(): void {
    if (this.#lastNames.length > 0) {
      this.#put(afterEntry);
    } else {
      this.#put(tokens.close);
      this.#finished = true;
    }
  }

  #pad(length: number): void {
    const padding = paddingAfter(length);
    if (this.#length + padding > this.#buffer.length) this.#spill();
    this.#buffer.fill(0, this.#length, this.#length + padding);
    this.#length += padding;
  }

  #putInteger(value: number): void {
    if (this.#length + wordSize > this.#buffer.length) this.#spill();
    this.#buffer.writeUInt32LE(value % 2 ** 32, this.#length);
    this.#buffer.writeUInt32LE(Math.floor(value / 2 ** 32), this.#length + 4);
    this.#length += wordSize;
  }

  #put(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#length === this.#buffer.length) this.#spill();
      const end = Math.min(bytes.length, at + this.#buffer.length - this.#length);
      this.#buffer.set(
        at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end),
        this.#length,
      );
      this.#length += end - at;
      at = end;
    }
  }
}

function misuse(reason: string): KilnError {
  return new KilnError("nar.misuse", `these events make no NAR: ${reason}`, { kind: "internal" });
}
