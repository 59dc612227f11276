/** An object on its way in: the bytes of its NAR are hashed and become a tree in a private folder, or a small file in memory, in one pass. */
import { Buffer } from "node:buffer";
import { dirname } from "node:path";
import { requireSpace } from "../files/free-bytes.ts";
import { TreeWriter, type TreeWriterOptions } from "../files/restore.ts";
import { NarReader, type NarSink } from "../format/nar/reader.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { Survey } from "./address.ts";
import type { DigestThread } from "./digest-thread.ts";
import { NarDigest, type NarHashes } from "./nar-digest.ts";
import type { Shelf, SmallFile } from "./small-files.ts";
import type { Syncer } from "./syncer.ts";

/** Files, folders and symlinks of an object: whoever reads a tree holds the names of a folder in memory. */
const maxEntries = 2_000_000;

/** A large file begins to go to disk when this many bytes of it wait for that. */
const syncStep = 16 * 1024 * 1024;

/** The files and folders of a tree begin to go to disk when there are so many, and again after as many. */
const entriesStep = 256;

/** So many bytes may wait for the disk. */
const mostUnsynced = 128 * 1024 * 1024;

/** What it needs of the store. */
export interface ArrivalParts {
  readonly syncer: Syncer;
  readonly digests: DigestThread;
  /** For small files. Without it everything goes to disk. */
  readonly shelf?: Shelf;
}

/** Where a tree will be. */
export interface Landing extends TreeWriterOptions {
  /** Nothing may be there. */
  readonly tree: string;
}

/** Ends with {@link Arrival.survey} or {@link Arrival.abandon}. */
export class Arrival implements NarSink {
  readonly #reader = new NarReader(this);
  readonly #land: () => Landing;
  #landed: { readonly tree: string; readonly writer: TreeWriter } | undefined;
  readonly #shelf: Shelf | undefined;
  #small: SmallFile | undefined;
  readonly #syncer: Syncer;
  readonly #digest: NarDigest;
  #file: { executable: boolean; offset: number; size: number } | undefined;
  #depth = 0;
  #entries = 0;
  /** Bytes of a file's contents that the digest has and the reader has not. */
  #gathered = 0;
  /** Names of the open folders and of the file, below the root. */
  readonly #names: string[] = [];
  #unsynced = 0;
  #syncing: Promise<void> | undefined;
  #failure: KilnError | undefined;

  /** `land` is called when the tree begins, unless it stays in memory. */
  constructor({ syncer, digests, shelf }: ArrivalParts, land: () => Landing) {
    this.#land = land;
    this.#syncer = syncer;
    this.#digest = new NarDigest(digests);
    this.#shelf = shelf;
  }

  /** Where the tree is, as far as it goes; undefined as long as nothing is on disk. */
  get tree(): string | undefined {
    return this.#landed?.tree;
  }

  /** The object, if it is a small file and not on disk. Whoever takes it disposes of it. */
  get small(): SmallFile | undefined {
    return this.#small;
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
    return this.#landed?.writer.inode;
  }

  /**
   * Takes bytes of the NAR.
   *
   * @returns how many; fewer than there are only at its end
   * @throws KilnError `nar.…` when it is not one
   */
  write(chunk: Buffer): number {
    const gathered = this.#gather(chunk);
    if (gathered === chunk.length) return gathered;
    const rest = gathered === 0 ? chunk : chunk.subarray(gathered);
    const taken = this.#reader.write(rest);
    if (this.#failure === undefined) {
      this.#digest.update(taken === rest.length ? rest : rest.subarray(0, taken));
    }
    return gathered + taken;
  }

  /** Contents that go on after this chunk are written a block at a time, out of the memory in which they are hashed. */
  #gather(chunk: Buffer): number {
    let at = 0;
    while (this.#failure === undefined && at < chunk.length) {
      const missing = this.#reader.contentsLeft - this.#gathered;
      const isCut = this.#gathered > 0 || missing > chunk.length - at;
      if (!isCut || missing === 0) break;
      const end = Math.min(chunk.length, at + missing);
      const taken = this.#digest.take(end === chunk.length ? chunk : chunk.subarray(0, end), at);
      at += taken;
      this.#gathered += taken;
      if (taken === missing || this.#digest.isFull) this.#writeGathered();
    }
    return at;
  }

  #writeGathered(): void {
    const bytes = this.#digest.last(this.#gathered);
    this.#gathered = 0;
    this.#reader.write(bytes);
  }

  /** What must be waited for before more is written, so that memory does not fill with what the disk or the hash has to take. */
  get congestion(): Promise<void> | undefined {
    return this.#unsynced > mostUnsynced ? this.#syncing : this.#digest.congestion;
  }

  /**
   * What the NAR was. To be asked once, when it is complete. A single small file is hashed by itself if it `wantsFile`.
   *
   * @throws KilnError why it could not be written, or hashed
   */
  survey(wantsFile: boolean): Survey | Promise<Survey> {
    if (this.#failure !== undefined) {
      this.#digest.drop();
      throw this.#failure;
    }
    const hashes = this.#digest.finish(wantsFile ? this.#file : undefined);
    return hashes instanceof Promise
      ? hashes.then((all) => this.#surveyed(all))
      : this.#surveyed(hashes);
  }

  #surveyed({ narHash, sourceHash, partHash }: NarHashes): Survey {
    const file = this.#file;
    return {
      narHash,
      narSize: this.#reader.bytesRead,
      sourceHash,
      file: file && { executable: file.executable, hash: partHash },
    };
  }

  /**
   * Where the whole tree is on disk; it is brought there now if it is not.
   *
   * @throws KilnError `file.…`, `disk.…`
   */
  toDisk(): string {
    const small = this.#small;
    if (small !== undefined) {
      using writer = this.#begin().writer;
      writer.file("", small.executable);
      writer.data(small.bytes);
      writer.endFile();
      small[Symbol.dispose]();
      this.#small = undefined;
    }
    if (this.#landed === undefined) throw new Error("nothing has arrived");
    return this.#landed.tree;
  }

  /** Gives the descriptors back. */
  close(): void {
    this.#landed?.writer.close();
  }

  /** Gives descriptors and the memory of the hash back: the rest will not come. */
  abandon(): void {
    this.close();
    this.#digest.drop();
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

  file(name: string, executable: boolean, size: number, offset: number): void {
    if (this.#depth === 0) {
      this.#file = { executable, offset, size };
      this.#small = this.#shelf?.take(size, executable);
    }
    this.#digest.expect(size);
    this.#do((writer, tree) => {
      requireSpace(dirname(tree), size);
      writer.file(name, executable);
    });
    this.#enter(name);
    this.#unsynced = 0;
  }

  data(chunk: Buffer): void {
    if (this.#small !== undefined) {
      this.#small.add(chunk);
      return;
    }
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
    if (++this.#entries % entriesStep === 0) void this.#syncer.everything();
    if (this.#entries <= maxEntries) return;
    this.#do(() => {
      throw new KilnError("nar.entries", `an object of more than ${maxEntries} files and folders`);
    });
  }

  /** Has something of the tree written, unless it stays in memory or there is no use. */
  #do(write: (writer: TreeWriter, tree: string) => void): void {
    if (this.#failure !== undefined || this.#small !== undefined) return;
    try {
      const { writer, tree } = this.#landed ?? this.#begin();
      write(writer, tree);
    } catch (error) {
      this.#failure = KilnError.from(error);
      this.#landed?.writer.close();
    }
  }

  #begin(): { readonly tree: string; readonly writer: TreeWriter } {
    const { tree, ...options } = this.#land();
    this.#landed = { tree, writer: new TreeWriter(tree, options) };
    return this.#landed;
  }

  #sync(): void {
    this.#unsynced = 0;
    const file = [this.#landed?.tree, ...this.#names.slice(1)].join("/");
    this.#syncing = this.#syncer
      .contents(file)
      // It will fail again, and be heard, when the whole tree is synced.
      .catch(() => undefined)
      .finally(() => {
        this.#syncing = undefined;
      });
  }
}
