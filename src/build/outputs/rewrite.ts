/** Putting final digests in the place of temporary ones, in a tree on disk. */
import {
  closeSync,
  constants,
  copyFileSync,
  fstatSync,
  openSync,
  readlinkSync,
  readSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { Buffer } from "node:buffer";
import { randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { type Directory, DirectoryStack, openParent } from "../../files/directory.ts";
import { attempt } from "../../files/file-error.ts";
import {
  applyRewrites,
  BufferAccess,
  offsetOf,
  type RandomAccess,
  type Rewrite,
} from "../../format/references/rewrite.ts";
import type { AffectedMember } from "../../format/references/self-references.ts";

/** What an analysis of the tree has found: which members hold the digest, and what to change in them. */
export interface Rewriting {
  readonly members: readonly AffectedMember[];
  readonly rewrites: readonly Rewrite[];
}

/** Rewrites `from` to `to` in the tree at `tree`, which nobody else uses. */
export async function rewriteTree(
  tree: string,
  { members, rewrites }: Rewriting,
  from: string,
  to: string,
): Promise<void> {
  let next = 0;
  for (const member of members) {
    const end = member.contentOffset + member.size;
    const start = next;
    while (next < rewrites.length && isBefore(rewrites[next], end)) next++;
    rewriteMember(tree, member, (access) =>
      applyRewrites(access, rewrites.slice(start, next), from, to),
    );
    await setImmediate();
  }
}

function isBefore(rewrite: Rewrite | undefined, end: number): boolean {
  return rewrite !== undefined && offsetOf(rewrite) < end;
}

/** Opens the directory of a member without following links, and changes it there. */
function rewriteMember(
  tree: string,
  member: AffectedMember,
  change: (access: RandomAccess) => void,
): void {
  const root = openParent(tree);
  using stack = new DirectoryStack(root.parent);
  const names = [root.name, ...(member.path === "" ? [] : member.path.split("/"))];
  const last = names.pop() ?? "";
  for (const name of names) stack.push(name);
  const place = { directory: stack.top, name: last, offset: member.contentOffset };
  attempt(
    "rewrite",
    () => stack.top.pathOf(last),
    () => {
      if (member.type === "symlink") rewriteLink(place, change);
      else rewriteFile(place, change);
    },
  );
}

interface Place {
  readonly directory: Directory;
  readonly name: string;
  /** Where its contents begin in the NAR. */
  readonly offset: number;
}

function rewriteLink({ directory, name, offset }: Place, change: Change): void {
  const path = directory.at(name);
  const target = readlinkSync(path, "buffer");
  change(shifted(new BufferAccess(target), offset));
  unlinkSync(path);
  symlinkSync(target, path);
}

type Change = (access: RandomAccess) => void;

function rewriteFile({ directory, name, offset }: Place, change: Change): void {
  let fd = openSync(directory.at(name), constants.O_RDWR | constants.O_NOFOLLOW);
  try {
    // Another name of the file may be in another output, or outside of all, and must not change with it.
    if (fstatSync(fd).nlink > 1) {
      closeSync(fd);
      fd = openSync(ownCopy(directory, name), constants.O_RDWR | constants.O_NOFOLLOW);
    }
    change(shifted(new FileAccess(fd), offset));
  } finally {
    closeSync(fd);
  }
}

/** Replaces a file by a copy of it that has no other name. */
function ownCopy(directory: Directory, name: string): string | Buffer {
  const copy = directory.at(`.kiln-${randomUUID()}`);
  copyFileSync(directory.at(name), copy, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  renameSync(copy, directory.at(name));
  return directory.at(name);
}

class FileAccess implements RandomAccess {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  read(offset: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      const count = readSync(this.#fd, bytes, filled, length - filled, offset + filled);
      if (count === 0) throw new Error("the file became shorter");
      filled += count;
    }
    return bytes;
  }

  write(offset: number, bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      at += writeSync(this.#fd, bytes, at, bytes.length - at, offset + at);
    }
  }
}

/** `access`, by offsets that count from `base`. */
function shifted(access: RandomAccess, base: number): RandomAccess {
  return {
    read: (offset, length) => access.read(offset - base, length),
    write: (offset, bytes) => access.write(offset - base, bytes),
  };
}
