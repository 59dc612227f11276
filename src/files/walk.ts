/** The way through a tree that dumping, freezing and syncing share. Links are told of, never followed. */
import {
  DirectoryStack,
  entryAt,
  nameOf,
  openParent,
  type Directory,
  type Entry,
  type FilePath,
} from "./directory.ts";

export interface WalkStep {
  /**
   * `enter` comes before a directory is listed (so that it can be made readable), `leave` after everything in it. What is neither
   * file, directory nor symlink is `other`.
   */
  readonly type: "enter" | "leave" | "file" | "symlink" | "other";
  /** The entry's name in `parent`. For the root the name in the directory it lies in. */
  readonly name: FilePath;
  /** The same name, a byte per character. */
  readonly latin1: string;
  /** Open until the next step. */
  readonly parent: Directory;
  /** The directory itself with `enter` and `leave`, open until the next step. */
  readonly directory: Directory | undefined;
  /** 0 for the root, 1 for what lies in it. */
  readonly depth: number;
}

export interface WalkOptions {
  /** In ascending order of bytes; otherwise in no order. */
  readonly sorted?: boolean;
  /** Whether to tell of an entry, and to enter it; the root is not asked about. */
  readonly filter?: (entry: Entry, parent: Directory) => boolean;
}

/** A directory on the way down: its own entry, and its entries that are still to come, the next one last. */
interface Frame {
  readonly entry: Entry;
  readonly rest: Entry[];
}

/** Walks through the tree at `path`, which may be a single file or link. */
export function* walk(path: string, options: WalkOptions = {}): Generator<WalkStep, void, void> {
  const { parent, name } = openParent(path);
  using stack = new DirectoryStack(parent);
  const frames: Frame[] = [];
  let entry: Entry | undefined = entryAt(parent, name);
  do {
    if (entry === undefined) {
      yield* leave(stack, frames);
    } else if (entry.type === "directory") {
      const above = stack.top;
      const directory = stack.push(nameOf(entry));
      yield step("enter", entry, above, directory, frames.length);
      frames.push({ entry, rest: listed(directory, options) });
    } else {
      yield step(entry.type, entry, stack.top, undefined, frames.length);
    }
    entry = frames.at(-1)?.rest.pop();
  } while (entry !== undefined || frames.length > 0);
}

function* leave(stack: DirectoryStack, frames: Frame[]): Generator<WalkStep, void, void> {
  const frame = frames.pop();
  if (frame === undefined) return;
  using left = stack.pop();
  yield step("leave", frame.entry, stack.top, left, frames.length);
}

function step(
  type: WalkStep["type"],
  entry: Entry,
  parent: Directory,
  directory: Directory | undefined,
  depth: number,
): WalkStep {
  return { type, name: nameOf(entry), latin1: entry.latin1, parent, directory, depth };
}

function listed(directory: Directory, { sorted, filter }: WalkOptions): Entry[] {
  let entries = directory.entries();
  if (filter !== undefined) entries = entries.filter((entry) => filter(entry, directory));
  if (sorted === true) entries.sort((a, b) => (a.latin1 < b.latin1 ? 1 : -1));
  return entries;
}
