/** A store object as a tar archive, for people without Kiln. */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { type Header, pack } from "tar-stream";
import { dumpNar } from "../files/dump.ts";
import { NarReader, type NarSink } from "../format/nar/reader.ts";
import { KilnError } from "../util/kiln-error.ts";

/** The tree at `path` as a tar archive in which it is called `name`; owners and times are those of a store: 0. */
export function tarOf(path: string, name: string): Readable {
  const archive = pack();
  void fill(archive, path, name).catch((error: unknown) => {
    archive.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  return Readable.from(archive, { objectMode: false });
}

async function fill(archive: Archive, path: string, name: string): Promise<void> {
  const sink = new TarSink(archive, name);
  const reader = new NarReader(sink);
  for (const chunk of dumpNar(path)) {
    if (archive.destroyed) return;
    reader.write(chunk);
    await sink.flushed();
    // Others want to be served, too.
    await nextTurn();
  }
  archive.finalize();
}

type Archive = ReturnType<typeof pack>;

/** Turns what a NAR tells into entries of an archive, one after the other. */
class TarSink implements NarSink {
  readonly #archive: Archive;
  readonly #root: string;
  readonly #names: string[] = [];
  readonly #steps: (() => Promise<void>)[] = [];
  readonly #closed: Promise<void>;
  #entry: ReturnType<Archive["entry"]> | undefined;

  constructor(archive: Archive, root: string) {
    this.#archive = archive;
    this.#closed = new Promise<void>((resolve) => archive.once("close", () => resolve()));
    this.#root = root;
  }

  /** Does what was told. */
  async flushed(): Promise<void> {
    for (const step of this.#steps.splice(0)) await step();
  }

  directory(name: string): void {
    this.#whole({ name: `${this.#pathOf(name)}/`, type: "directory", mode: 0o755 });
    this.#names.push(name);
  }

  endDirectory(): void {
    this.#names.pop();
  }

  file(name: string, executable: boolean, size: number): void {
    const header = { name: this.#pathOf(name), size, mode: executable ? 0o755 : 0o644 };
    this.#steps.push(async () => {
      this.#entry = this.#archive.entry({ ...header, ...plain });
    });
  }

  data(chunk: Buffer): void {
    const own = Buffer.from(chunk);
    this.#steps.push(async () => {
      const entry = this.#entry;
      if (entry === undefined || entry.write(own)) return;
      // It ends without a "drain" when the reader leaves.
      await Promise.race([once(entry, "drain"), this.#closed]);
    });
  }

  endFile(): void {
    this.#steps.push(async () => {
      this.#entry?.end(undefined);
      this.#entry = undefined;
    });
  }

  symlink(name: string, target: Buffer): void {
    const linkname = target.toString("utf8");
    if (!Buffer.from(linkname, "utf8").equals(target)) {
      throw new KilnError("tar.target", `${this.#pathOf(name)} points at bytes that are no UTF-8`, {
        hint: "download the object as a NAR",
      });
    }
    this.#whole({ name: this.#pathOf(name), type: "symlink", mode: 0o777, linkname });
  }

  #whole(header: Partial<Header> & Pick<Header, "name">): void {
    this.#steps.push(async () => {
      this.#archive.entry({ ...header, ...plain });
    });
  }

  #pathOf(name: string): string {
    return [this.#root, ...this.#names.slice(1), ...(this.#names.length > 0 ? [name] : [])].join(
      "/",
    );
  }
}

const plain = { mtime: new Date(0), uid: 0, gid: 0 };
