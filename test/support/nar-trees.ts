/** Trees as the vectors write them down, to NAR bytes and back to lists of members. */
import { Buffer } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import { NarReader, readNar, type NarSink } from "../../src/format/nar/reader.ts";
import { NarWriter } from "../../src/format/nar/writer.ts";
import { bytesToString, compareBytes, stringToBytes } from "../../src/util/byte-string.ts";

/** A text, or pieces: a text, a text repeated, or (the first N bytes of) a blob. */
export type Contents = string | readonly Piece[];
type Piece =
  | string
  | { readonly repeat: string; readonly times: number }
  | { readonly blob: string };

export type Tree =
  | { readonly type: "regular"; readonly executable?: boolean; readonly contents: Contents }
  | { readonly type: "symlink"; readonly target: string }
  | {
      readonly type: "directory";
      readonly entries: readonly { readonly name: string; readonly node: Tree }[];
    };

/** What is in a NAR, in its order. */
export interface Member {
  /** Names joined by `/`; empty for the root. */
  readonly path: string;
  readonly type: "regular" | "symlink" | "directory";
  readonly executable?: boolean;
  readonly size?: number;
  readonly sha256?: string;
  readonly target?: string;
  readonly contentOffset?: number;
}

/** The NAR of a tree; `blobs` are the ones its contents name, in base 64. */
export function narOf(tree: Tree, blobs: Readonly<Record<string, string>> = {}): Buffer {
  const chunks: Buffer[] = [];
  const writer = new NarWriter((chunk) => chunks.push(chunk));
  writeTree(writer, "", tree, blobs);
  writer.end();
  return Buffer.concat(chunks);
}

/** The members of a NAR. */
export function membersOf(nar: Buffer): Member[] {
  const collector = new MemberCollector();
  readNar(nar, collector);
  return collector.members;
}

/** The same, read in chunks of `size` bytes. */
export function membersOfChunks(nar: Buffer, size: number): Member[] {
  const collector = new MemberCollector();
  const reader = new NarReader(collector);
  for (let at = 0; at < nar.length; at += size) reader.write(nar.subarray(at, at + size));
  reader.end();
  return collector.members;
}

function writeTree(
  sink: NarSink,
  name: string,
  tree: Tree,
  blobs: Readonly<Record<string, string>>,
): void {
  if (tree.type === "symlink") {
    sink.symlink(name, stringToBytes(tree.target), 0);
  } else if (tree.type === "regular") {
    const contents = contentsOf(tree.contents, blobs);
    sink.file(name, tree.executable ?? false, contents.length, 0);
    sink.data(contents);
    sink.endFile();
  } else {
    sink.directory(name);
    for (const entry of tree.entries.toSorted((a, b) => compareBytes(a.name, b.name))) {
      writeTree(sink, entry.name, entry.node, blobs);
    }
    sink.endDirectory();
  }
}

function contentsOf(contents: Contents, blobs: Readonly<Record<string, string>>): Buffer {
  if (typeof contents === "string") return stringToBytes(contents);
  return Buffer.concat(
    contents.map((piece) => {
      if (typeof piece === "string") return stringToBytes(piece);
      if ("repeat" in piece) return stringToBytes(piece.repeat.repeat(piece.times));
      const [, name, end] = /^(.*?)(?:\[0:(\d+)\])?$/.exec(piece.blob) ?? [];
      const blob = blobs[name ?? ""];
      if (blob === undefined) throw new Error(`no blob ${piece.blob}`);
      return Buffer.from(blob, "base64").subarray(0, end === undefined ? undefined : Number(end));
    }),
  );
}

class MemberCollector implements NarSink {
  readonly members: Member[] = [];
  readonly #path: string[] = [];
  #hash: Hash = createHash("sha256");
  #file: Omit<Member, "sha256"> | undefined;

  directory(name: string): void {
    this.members.push({ path: this.#pathOf(name), type: "directory" });
    this.#path.push(name);
  }

  endDirectory(): void {
    this.#path.pop();
  }

  file(name: string, executable: boolean, size: number, contentOffset: number): void {
    this.#file = { path: this.#pathOf(name), type: "regular", executable, size, contentOffset };
    this.#hash = createHash("sha256");
  }

  data(chunk: Buffer): void {
    this.#hash.update(chunk);
  }

  endFile(): void {
    if (this.#file === undefined) throw new Error("the end of no file");
    this.members.push({ ...this.#file, sha256: this.#hash.digest("hex") });
    this.#file = undefined;
  }

  symlink(name: string, target: Buffer, contentOffset: number): void {
    const path = this.#pathOf(name);
    this.members.push({ path, type: "symlink", target: bytesToString(target), contentOffset });
  }

  #pathOf(name: string): string {
    return [...this.#path, name].filter((element) => element !== "").join("/");
  }
}
