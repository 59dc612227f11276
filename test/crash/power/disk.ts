/**
 * A disk that forgets: what was written to it and not synced may be lost in a power cut, all of it or any part.
 *
 * A file's bytes, mode and time are safe once the file was synced; names are safe once a folder that they are in was. A rename is one
 * change: it is never half done. That is less than Linux's file systems give, which bring names to disk in the order of their making.
 */
import { chmodSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What a power cut leaves. */
export interface Cut {
  /** Whether a change of names that was not synced is on disk; they are asked about in their order. */
  readonly names: () => boolean;
  /** Whether a write that was not synced is; asked for each block of it. */
  readonly writes: () => boolean;
}

interface Meta {
  mode: number;
  /** Whether its time is 0. */
  zeroTime: boolean;
}

interface Write {
  readonly at: number;
  readonly bytes: Buffer | undefined; // undefined: the file ends here
  readonly seq: number;
}

export type Node = FileNode | FolderNode | LinkNode;

export class FileNode implements Meta {
  readonly type = "file";
  mode: number;
  zeroTime = false;
  contents: Buffer = Buffer.alloc(0);
  safe: Buffer = Buffer.alloc(0);
  safeMeta: Meta;
  pending: Write[] = [];

  constructor(mode: number) {
    this.mode = mode;
    this.safeMeta = { mode, zeroTime: false };
  }
}

export class FolderNode implements Meta {
  readonly type = "folder";
  mode: number;
  zeroTime = false;
  readonly names = new Map<string, Node>();
  readonly safe = new Map<string, Node>();
  safeMeta: Meta;

  constructor(mode: number) {
    this.mode = mode;
    this.safeMeta = { mode, zeroTime: false };
  }
}

export class LinkNode {
  readonly type = "link";
  readonly target: string;

  constructor(target: string) {
    this.target = target;
  }
}

/** One change of names: undefined takes the name away. */
interface Change {
  readonly seq: number;
  readonly steps: readonly { folder: FolderNode; name: string; node: Node | undefined }[];
}

export class Disk {
  readonly root: FolderNode = new FolderNode(0o755);
  #seq = 0;
  #changes: Change[] = [];

  /** What was done until now: for {@link sync}, which may end long after it began. */
  get now(): number {
    return this.#seq;
  }

  change(...steps: Change["steps"]): void {
    for (const { folder, name, node } of steps) {
      if (node === undefined) folder.names.delete(name);
      else folder.names.set(name, node);
      folder.zeroTime = false;
    }
    this.#changes.push({ seq: ++this.#seq, steps });
  }

  write(file: FileNode, at: number, bytes: Buffer): void {
    file.pending.push({ at, bytes, seq: ++this.#seq });
    file.contents = applied(file.contents, { at, bytes });
    file.zeroTime = false;
  }

  truncate(file: FileNode, size: number): void {
    file.pending.push({ at: size, bytes: undefined, seq: ++this.#seq });
    file.contents = applied(file.contents, { at: size, bytes: undefined });
  }

  /** All that was done to a file or folder until `seq` is safe. */
  sync(node: Node, seq: number): void {
    if (node.type === "link") return;
    node.safeMeta = { mode: node.mode, zeroTime: node.zeroTime };
    if (node.type === "file") {
      for (const write of node.pending) {
        if (write.seq <= seq) node.safe = applied(node.safe, write);
      }
      node.pending = node.pending.filter((write) => write.seq > seq);
      return;
    }
    this.#settle(({ steps, seq: when }) => when <= seq && steps.some((s) => s.folder === node));
  }

  /** All that was done to anything below a folder. */
  syncAll(folder: FolderNode, seq: number): void {
    this.sync(folder, seq);
    const seen = new Set<Node>();
    const visit = (node: Node): void => {
      if (seen.has(node)) return;
      seen.add(node);
      this.sync(node, seq);
      if (node.type !== "folder") return;
      for (const child of [...node.names.values(), ...node.safe.values()]) visit(child);
    };
    visit(folder);
  }

  /** Writes what is left after a cut now into an empty folder. */
  async leave(place: string, cut: Cut): Promise<void> {
    const names = new Map<FolderNode, Map<string, Node>>();
    const of = (folder: FolderNode): Map<string, Node> => {
      const known = names.get(folder) ?? new Map(folder.safe);
      names.set(folder, known);
      return known;
    };
    for (const { steps } of this.#changes) {
      if (!cut.names()) continue;
      for (const { folder, name, node } of steps) {
        if (node === undefined) of(folder).delete(name);
        else of(folder).set(name, node);
      }
    }
    const put = (node: Node, path: string): void => {
      if (node.type === "link") return symlinkSync(node.target, path);
      const { mode, zeroTime } = node.safeMeta;
      if (node.type === "file") {
        writeFileSync(path, left(node, cut));
      } else {
        if (node !== this.root) mkdirSync(path, { mode: 0o700 });
        for (const [name, child] of of(node)) put(child, join(path, name));
      }
      chmodSync(path, mode);
      if (zeroTime) utimesSync(path, 0, 0);
    };
    put(this.root, place);
    await Promise.resolve();
  }

  #settle(isSafe: (change: Change) => boolean): void {
    const open: Change[] = [];
    for (const change of this.#changes) {
      if (!isSafe(change)) {
        open.push(change);
        continue;
      }
      for (const { folder, name, node } of change.steps) {
        if (node === undefined) folder.safe.delete(name);
        else folder.safe.set(name, node);
      }
    }
    this.#changes = open;
  }
}

const block = 4096;

/** What is on disk of a file: what was synced, and as much more as the cut leaves, block by block. */
function left(file: FileNode, cut: Cut): Buffer {
  let bytes = file.safe;
  for (const write of file.pending) {
    if (write.bytes === undefined) {
      if (cut.writes()) bytes = applied(bytes, write);
      continue;
    }
    for (let at = 0; at < write.bytes.length;) {
      const end = Math.min(write.bytes.length, at + block - ((write.at + at) % block));
      if (cut.writes()) {
        bytes = applied(bytes, { at: write.at + at, bytes: write.bytes.subarray(at, end) });
      }
      at = end;
    }
  }
  return bytes;
}

function applied(contents: Buffer, { at, bytes }: Pick<Write, "at" | "bytes">): Buffer {
  const end = bytes === undefined ? at : Math.max(contents.length, at + bytes.length);
  const result = Buffer.alloc(end);
  contents.copy(result, 0, 0, Math.min(contents.length, end));
  bytes?.copy(result, at);
  return result;
}
