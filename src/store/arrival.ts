/** An object on its way in: the bytes of its NAR become a tree in a private folder and are hashed, in one pass. */
import { Buffer } from "node:buffer";
import { createHash, type Hash as Hasher } from "node:crypto";
import { dirname } from "node:path";
import { requireSpace } from "../files/free-bytes.ts";
import { TreeWriter, type TreeWriterOptions } from "../files/restore.ts";
import { Hash } from "../format/hash.ts";
import { NarReader, type NarSink } from "../format/nar/reader.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { Survey } from "./address.ts";
import type { Syncer } from "./syncer.ts";

/** Single files up to this size are hashed by themselves, too, since most of them have a text address. */
const smallFile = 1024 * 1024;

/** Files, folders and symlinks of an object: whoever reads a tree holds the names of a folder in memory. */
const maxEntries = 2_000_000;

/** A large file begins to go to disk when this many bytes of it wait for that. */
const syncStep = 16 * 1024 * 1024;

/** So many bytes may wait for the disk. */
const mostUnsynced = 128 * 1024 * 1024;

export class Arrival implements NarSink {
  /** Where the tree is, as far as it goes. */
  readonly tree: string;
  readonly #reader = new NarReader(this);
  readonly #writer: TreeWriter | undefined;
  readonly #syncer: Syncer;
  readonly #narHash: Hasher = createHash("sha256");
  #fileHash: Hasher | undefined;
  #file: { executable: boolean } | undefined;
  #depth = 0;
  #entries = 0;
  /** Names of the open folders and of the file, below the root. */
  readonly #names: string[] = [];
  #unsynced = 0;
  #syncing: Promise<void> | undefined;
  #failure: KilnError | undefined;

  /** Nothing may be at `tree`. With a `failure` nothing is written from the start. */
  constructor(
    tree: string,
    syncer: Syncer,
    { failure, ...options }: TreeWriterOptions & { readonly failure?: KilnError } = {},
  ) {
    this.tree = tree;
    this.#syncer = syncer;
    this.#failure = failure;
    if (failure !== undefined) return;
    try {
      this.#writer = new TreeWriter(tree, options);
    } catch (error) {
      this.#failure = KilnError.from(error);
    }
  }

  /** Why the tree cannot be written. The rest of the NAR is read and dropped all the same. */
  get failure(): KilnError | undefined {
    return this.#failure;
  }

  /** Whether the NAR is complete. */
  get finished(): boolean {
    return this.#reader.finished;
  }

  /** Number of files, folders and symlinks. */
  get entries(): number {
    return this.#entries;
  }

  /** The inode number of the tree where it is a single file and was written; undefined when it has to be looked up. */
  get inode(): number | undefined {
    return this.#writer?.inode;
  }

  /**
   * Takes bytes of the NAR.
   *
   * @returns how many; fewer than there are only at its end
   * @throws KilnError `nar.…` when it is not one
   */
  write(chunk: Buffer): number {
    const taken = this.#reader.write(chunk);
    if (this.#failure === undefined) {
      this.#narHash.update(taken === chunk.length ? chunk : chunk.subarray(0, taken));
    }
    return taken;
  }

  /** What must be waited for before more is written, so that the memory of the machine does not fill with what the disk has to take. */
  get congestion(): Promise<void> | undefined {
    return this.#unsynced > mostUnsynced ? this.#syncing : undefined;
  }

  /** What the NAR was. To be asked once, when it is complete. */
  survey(): Survey {
    if (this.#failure !== undefined) throw this.#failure;
    const narHash = Hash.of("sha256", this.#narHash.copy().digest());
    const sha256 = this.#fileHash && Hash.of("sha256", this.#fileHash.digest());
    return {
      narHash,
      narSize: this.#reader.bytesRead,
      // An object's own hash ends in "|", which goes before the offsets of its self references.
      sourceHash: Hash.of("sha256", this.#narHash.update("|").digest()),
      file: this.#file && { ...this.#file, ...(sha256 && { sha256 }) },
    };
  }

  /** Gives the descriptors back. */
  close(): void {
    this.#writer?.close();
  }

  directory(name: string): void {
    this.#do((writer) => writer.directory(name));
    this.#enter(name);
    this.#depth++;
  }

  endDirectory(): void {
    this.#do((writer) => writer.endDirectory());
    this.#names.pop();
    this.#depth--;
  }

  file(name: string, executable: boolean, size: number): void {
    if (this.#depth === 0) {
      this.#file = { executable };
      if (size <= smallFile) this.#fileHash = createHash("sha256");
    }
    this.#do((writer) => {
      requireSpace(dirname(this.tree), size);
      writer.file(name, executable);
    });
    this.#enter(name);
    this.#unsynced = 0;
  }

  data(chunk: Buffer): void {
    this.#fileHash?.update(chunk);
    this.#do((writer) => writer.data(chunk));
    this.#unsynced += chunk.length;
    if (this.#unsynced >= syncStep && this.#syncing === undefined) this.#sync();
  }

  endFile(): void {
    this.#do((writer) => writer.endFile());
    this.#names.pop();
  }

  symlink(name: string, target: Buffer): void {
    this.#count();
    this.#do((writer) => writer.symlink(name, target));
  }

  #enter(name: string): void {
    this.#count();
    this.#names.push(name);
  }

  #count(): void {
    if (++this.#entries <= maxEntries) return;
    this.#do(() => {
      throw new KilnError("nar.entries", `an object of more than ${maxEntries} files and folders`);
    });
  }

  #do(write: (writer: TreeWriter) => void): void {
    if (this.#failure !== undefined || this.#writer === undefined) return;
    try {
      write(this.#writer);
    } catch (error) {
      this.#failure = KilnError.from(error);
      this.#writer.close();
    }
  }

  #sync(): void {
    this.#unsynced = 0;
    const file = [this.tree, ...this.#names.slice(1)].join("/");
    this.#syncing = this.#syncer
      .contents(file)
      // It will fail again, and be heard, when the whole tree is synced.
      .catch(() => undefined)
      .finally(() => {
        this.#syncing = undefined;
      });
  }
}
