import { chmodSync, opendirSync, rmdirSync, unlinkSync } from "node:fs";
import {
  DirectoryStack,
  entryAt,
  nameOf,
  openParent,
  typeOf,
  type Directory,
  type Entry,
} from "./directory.ts";
import { attempt, errorCode, fileError } from "./file-error.ts";
import { inSlices } from "./slices.ts";

/** How many names are taken from a directory at a time, which bounds the memory a directory of millions takes. */
const batch = 2000;

/** How often something may turn out to be other than it was a moment ago, before it is called an error. */
const maxSurprises = 100;

/**
 * Removes whatever is at `path`; nothing there is fine. Directories that cannot be written are made writable first. No link is
 * followed, and the tree may be deeper than a path can be long. Does not hold up the event loop for long.
 *
 * @throws KilnError `file.…` or `disk.…` when something cannot be removed; the rest may be gone
 */
export async function removeTree(path: string): Promise<void> {
  await inSlices(new Removal(path).steps(), () => {});
}

/** A directory on the way down; none for the one that the whole tree lies in. */
interface Frame {
  readonly entry: Entry | undefined;
  /** Entries that were listed and are still to be removed. */
  entries: Entry[];
}

class Removal {
  readonly #path: string;
  #surprises = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Yields after each step. */
  *steps(): Generator<void, void, void> {
    const start = find(this.#path);
    if (start === undefined) return;
    using stack = new DirectoryStack(start.parent);
    const frames: Frame[] = [{ entry: undefined, entries: [start.entry] }];
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
      const entry = frame.entries.pop();
      if (entry !== undefined) this.#remove(stack, frames, entry);
      else this.#finish(stack, frames, frame);
      yield;
    }
  }

  /** Removes an entry of the innermost directory, or goes down into it. */
  #remove(stack: DirectoryStack, frames: Frame[], entry: Entry): void {
    const name = nameOf(entry);
    this.#expect(stack, frames, entry, () => {
      if (entry.type === "directory") {
        makeUsable(stack.push(name));
        frames.push({ entry, entries: [] });
      } else {
        unlinkSync(stack.top.at(name));
      }
    });
  }

  /** Takes up more entries, or removes the innermost directory when there are none. */
  #finish(stack: DirectoryStack, frames: Frame[], frame: Frame): void {
    const { entry } = frame;
    if (entry === undefined) {
      frames.pop();
      return;
    }
    frame.entries = list(stack.top);
    if (frame.entries.length > 0) return;
    frames.pop();
    stack.pop().close();
    this.#expect(stack, frames, entry, () => {
      rmdirSync(stack.top.at(nameOf(entry)));
    });
  }

  /** Removes something that should be what `entry` says; looks again when it is not any more. */
  #expect(stack: DirectoryStack, frames: Frame[], entry: Entry, remove: () => void): void {
    const { top } = stack;
    const name = nameOf(entry);
    try {
      remove();
    } catch (thrown) {
      const code = errorCode(thrown);
      if (code === "ENOENT") return;
      const now = entryAt(top, name);
      const surprising = now.type !== entry.type || code === "ENOTEMPTY" || code === "EEXIST";
      if (!surprising || ++this.#surprises > maxSurprises) {
        throw fileError("remove", top.pathOf(name), thrown);
      }
      frames.at(-1)?.entries.push(now);
    }
  }
}

/** What is at `path`, if anything. */
function find(path: string): { parent: Directory; entry: Entry } | undefined {
  let parent: Directory | undefined;
  try {
    const opened = openParent(path);
    parent = opened.parent;
    return { parent, entry: entryAt(parent, opened.name) };
  } catch (thrown) {
    parent?.close();
    if (errorCode(thrown) === "ENOENT") return undefined;
    throw thrown;
  }
}

function list(directory: Directory): Entry[] {
  return attempt(
    "list",
    () => directory.path,
    () => {
      using open = opendirSync(directory.self, { encoding: "latin1", bufferSize: 256 });
      const entries: Entry[] = [];
      while (entries.length < batch) {
        const entry = open.readSync();
        if (entry === null) break;
        entries.push({ latin1: entry.name, type: typeOf(entry) });
      }
      return entries;
    },
  );
}

/** Gives the owner all permissions on a directory, if he has not got them and may give them. */
function makeUsable(directory: Directory): void {
  if ((directory.stats().mode & 0o700) === 0o700) return;
  try {
    chmodSync(directory.self, 0o700);
  } catch (thrown) {
    // Somebody else's: removing what is in it may still be allowed, and fails with a better reason if not.
    if (errorCode(thrown) !== "EPERM") throw thrown;
  }
}
