import { createHash, type Hash as Hasher } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { type ContentAddress, isSourceAddress } from "../../../format/content-address.ts";
import { Hash } from "../../../format/hash.ts";
import { NarWriter } from "../../../format/nar/writer.ts";
import { Pace } from "../pace.ts";
import { chunksOf } from "../streams.ts";

export interface FixedFileOptions {
  readonly ca: ContentAddress;
  readonly executable: boolean;
}

/** A new file whose contents are known beforehand by their address. */
export class FixedFile implements AsyncDisposable {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #ca: ContentAddress;
  readonly #executable: boolean;
  #hasher: Hasher;
  #size = 0;
  #finished = false;

  private constructor(path: string, handle: FileHandle, options: FixedFileOptions) {
    this.#path = path;
    this.#handle = handle;
    this.#ca = options.ca;
    this.#executable = options.executable;
    this.#hasher = createHash(options.ca.hash.type);
  }

  /** Creates it exclusively and through no link; nobody else may read it until it is finished. */
  static async create(path: string, options: FixedFileOptions): Promise<FixedFile> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    return new FixedFile(path, await open(path, flags, 0o600), options);
  }

  /** How many bytes were written. */
  get size(): number {
    return this.#size;
  }

  get wanted(): Hash {
    return this.#ca.hash;
  }

  async append(chunk: Buffer): Promise<void> {
    this.#hasher.update(chunk);
    for (let rest = chunk; rest.length > 0;) {
      const { bytesWritten } = await this.#handle.write(rest, 0, rest.length, this.#size);
      this.#size += bytesWritten;
      rest = rest.subarray(bytesWritten);
    }
  }

  /** Begins anew. */
  async clear(): Promise<void> {
    await this.#handle.truncate(0);
    this.#size = 0;
    this.#hasher = createHash(this.#ca.hash.type);
  }

  /** The hash of the contents where that is another one than was wanted. */
  async wrongHash(signal: AbortSignal): Promise<Hash | undefined> {
    // A NAR begins with the size of its file, which is certain only now.
    const digest =
      this.#ca.method === "recursive"
        ? await this.#narDigest(signal)
        : this.#hasher.copy().digest();
    const hash = Hash.of(this.#ca.hash.type, digest);
    return hash.equals(this.#ca.hash) ? undefined : hash;
  }

  /** Makes it readable, and executable if it is to be. */
  async finish(): Promise<void> {
    await this.#handle.chmod(this.#executable ? 0o755 : 0o644);
    this.#finished = true;
  }

  /** Closes the file; removes it unless it is finished. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
    if (!this.#finished) await unlink(this.#path);
  }

  async #narDigest(signal: AbortSignal): Promise<Buffer> {
    const hasher = createHash(this.#ca.hash.type);
    const pace = new Pace(signal);
    const writer = new NarWriter((chunk) => void hasher.update(chunk));
    writer.file("", this.#executable, this.#size);
    for await (const chunk of chunksOf(this.#handle, 0, this.#size)) {
      writer.data(chunk);
      await pace.breathe();
    }
    writer.endFile();
    writer.end();
    // A source address covers the list of self references, too: here an empty one.
    if (isSourceAddress(this.#ca)) hasher.update("|");
    return hasher.digest();
  }
}
