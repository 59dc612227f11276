/** The hash of a NAR modulo a digest: see self-references.ts. */
import { Buffer } from "node:buffer";
import { createHash, type Hash as Hasher } from "node:crypto";
import { KilnError } from "../../util/kiln-error.ts";
import type { ByteRequest, ImageHost, Scan } from "../macho/byte-requests.ts";
import { maybeMacho, scanMacho } from "../macho/scan.ts";
import type { NarSink } from "../nar/reader.ts";
import { NarWriter } from "../nar/writer.ts";
import { Blanker, type BlankedSink } from "./blanker.ts";
import type { Rewrite } from "./rewrite.ts";

/** A file or symlink that has to be rewritten. */
export interface AffectedMember {
  /** Names joined by `/`; empty for the root. */
  readonly path: string;
  readonly type: "file" | "symlink";
  /** Where the contents, or the target, begin in the NAR. */
  readonly contentOffset: number;
  readonly size: number;
}

/**
 * Gives memory for a part of a Mach-O file that must be seen as a whole: a load command or a signature, at most 4 MiB. May throw to
 * refuse.
 */
export type MachoBufferCreator = (size: number) => Buffer;

/** A scan of a Mach-O file, and what it is waiting for. */
interface RunningScan {
  readonly scan: Scan<void>;
  readonly mode: ByteRequest["mode"];
  /** What was asked for, as far as it has come. */
  readonly buffer: Buffer;
  missing: number;
}

/** Gets a NAR's events and hashes the NAR that has zeros for the digest. */
export class ModuloHasher implements NarSink, BlankedSink, ImageHost {
  readonly rewrites: Rewrite[] = [];
  readonly members: AffectedMember[] = [];
  readonly #digest: string;
  readonly #zeros: Buffer;
  readonly #createBuffer: MachoBufferCreator;
  readonly #blanker: Blanker;
  #hash: Hasher = createHash("sha256");
  #fork: Hasher | undefined;
  readonly #writer = new NarWriter((chunk) => this.#hash.update(chunk));
  readonly #names: string[] = [];
  #lastOccurrence = -1;
  /** The contents of the file under way, and where in the NAR the next of its bytes stands. */
  #contentOffset = 0;
  #size = 0;
  #position = 0;
  #rewritesBefore = 0;
  #scan: RunningScan | undefined;

  constructor(digest: string, createBuffer: MachoBufferCreator = (size) => Buffer.alloc(size)) {
    this.#digest = digest;
    this.#createBuffer = createBuffer;
    this.#zeros = Buffer.alloc(digest.length);
    this.#blanker = new Blanker(digest, this);
  }

  /** SHA-256 of the whole, with the offsets at its end. */
  finish(): Buffer {
    this.#writer.end();
    this.#hash.update("|");
    for (const rewrite of this.rewrites) {
      if (rewrite.type === "selfReference") this.#hash.update(`|${rewrite.offset}`);
    }
    return this.#hash.digest();
  }

  /** SHA-256 of the NAR with its zeros; to be asked before {@link finish}, when the NAR is complete. */
  narHash(): Buffer {
    this.#writer.end();
    return this.#hash.copy().digest();
  }

  directory(name: string): void {
    this.#names.push(name);
    this.#checkName(name);
    this.#writer.directory(name);
  }

  endDirectory(): void {
    this.#names.pop();
    this.#writer.endDirectory();
  }

  file(name: string, executable: boolean, size: number, offset: number): void {
    this.#names.push(name);
    this.#checkName(name);
    this.#writer.file(name, executable, size);
    this.#contentOffset = offset;
    this.#size = size;
    this.#position = offset;
    this.#rewritesBefore = this.rewrites.length;
  }

  data(chunk: Buffer): void {
    this.#blanker.write(chunk);
  }

  endFile(): void {
    this.#blanker.end();
    this.#scan = undefined;
    this.#writer.endFile();
    if (this.rewrites.length > this.#rewritesBefore) {
      const [contentOffset, size] = [this.#contentOffset, this.#size];
      this.members.push({ path: this.#path, type: "file", contentOffset, size });
    }
    this.#names.pop();
  }

  symlink(name: string, target: Buffer, contentOffset: number): void {
    this.#names.push(name);
    this.#checkName(name);
    const blanked = Buffer.from(target);
    let at = target.indexOf(this.#digest);
    if (at !== -1) {
      this.members.push({ path: this.#path, type: "symlink", contentOffset, size: target.length });
    }
    for (; at !== -1; at = target.indexOf(this.#digest, at + this.#digest.length)) {
      this.#addOccurrence(contentOffset + at);
      this.#zeros.copy(blanked, at);
    }
    this.#writer.symlink(name, blanked);
    this.#names.pop();
  }

  plain(bytes: Buffer): void {
    if (this.#position === this.#contentOffset && maybeMacho(bytes)) this.#beginScan();
    this.#feed(bytes);
  }

  blank(): void {
    this.#addOccurrence(this.#position);
    this.#feed(this.#zeros);
  }

  occursSince(position: number): boolean {
    return this.#lastOccurrence >= position;
  }

  fork(): void {
    if (this.#fork !== undefined) return;
    this.#writer.flush();
    this.#fork = this.#hash.copy();
  }

  feedFork(bytes: Buffer): void {
    this.#fork?.update(bytes);
  }

  dropFork(): void {
    this.#fork = undefined;
  }

  adoptFork(): void {
    if (this.#fork === undefined) return;
    this.#writer.flush();
    this.#hash = this.#fork;
    this.#fork = undefined;
  }

  #addOccurrence(offset: number): void {
    this.rewrites.push({ type: "selfReference", offset });
    this.#lastOccurrence = offset;
  }

  #beginScan(): void {
    const start = this.#contentOffset;
    const scan = scanMacho(start, start + this.#size, this, (rewrite) => {
      this.rewrites.push(rewrite);
    });
    this.#resume(scan, scan.next());
  }

  /** Notes what a scan asks for next. */
  #resume(scan: Scan<void>, { done, value }: IteratorResult<ByteRequest, void>): void {
    this.#scan = undefined;
    if (done === true) return;
    const { mode, length } = value;
    const isGiven = mode === "take" || mode === "hold";
    const buffer = isGiven ? this.#createBuffer(length) : Buffer.alloc(0);
    this.#scan = { scan, mode, buffer, missing: length };
  }

  /** Hands bytes of the file to the hashes and the scan, the scan being resumed just when it has what it asked for. */
  #feed(bytes: Buffer): void {
    this.#position += bytes.length;
    let rest = bytes;
    while (this.#scan !== undefined && rest.length > 0) {
      const running = this.#scan;
      const { mode, buffer } = running;
      const piece = rest.subarray(0, running.missing);
      rest = rest.subarray(piece.length);
      this.#writer.data(piece);
      if (mode !== "hold")
        this.#fork?.update(mode === "blank" ? Buffer.alloc(piece.length) : piece);
      if (buffer.length > 0) piece.copy(buffer, buffer.length - running.missing);
      running.missing -= piece.length;
      if (running.missing === 0) this.#resume(running.scan, running.scan.next(buffer));
    }
    if (rest.length > 0) this.#writer.data(rest);
  }

  get #path(): string {
    return this.#names.slice(1).join("/");
  }

  #checkName(name: string): void {
    if (!name.includes(this.#digest)) return;
    throw new KilnError(
      "reference.inName",
      `the name ${JSON.stringify(this.#path)} holds the digest of the object's own path`,
    );
  }
}
