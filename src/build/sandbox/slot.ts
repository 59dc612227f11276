/**
 * Where sandboxes are put together: one directory per build that runs, used again for the next one.
 *
 *     <slots>/<n>/   mode 0700, so nobody else gets here, whatever the modes inside
 *       root/        the skeleton of `/`                     kept while the layout is the same
 *       store/       becomes the store directory: mountpoints (kept), and the outputs the builder makes
 *       tmp/         becomes /tmp                            emptied after each build
 *       inputs/      the real store directory is mounted here, out of the builder's reach
 *       spare/       mountpoints nobody needs now
 *       fstab, command, holder, ended                        for `init.sh`
 *       filter       of system calls
 *
 * They lie on the store's file system and mount, so that outputs are moved out by renaming.
 */
import { execFile } from "node:child_process";
import { chmodSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Directory, type FilePath, hold, nameOf } from "../../files/directory.ts";
import { attempt } from "../../files/file-error.ts";
import { removeTree } from "../../files/remove-tree.ts";
import { writeFilter } from "./guard.ts";
import type { Layout } from "./layout.ts";
import { Mountpoints, type Stub } from "./mountpoints.ts";
import type { SlotPlaces } from "./mounts.ts";
import { writeSkeleton } from "./skeleton.ts";

/** What a slot is to hold for a build. */
export interface SlotContent {
  readonly layout: Layout;
  /** A directory to be made in `/tmp`: `/a/b`. */
  readonly inTmp: string | undefined;
  /** Inputs, by name. */
  readonly stubs: ReadonlyMap<string, Stub>;
}

export class Slot implements SlotPlaces {
  /** Counts from 0; no two slots in use have the same. */
  readonly number: number;
  readonly directory: string;
  readonly root: string;
  readonly tmp: string;
  readonly store: string;
  readonly inputs: string;
  readonly #mountpoints: Mountpoints;
  #layout: string | undefined;

  private constructor(number: number, directory: string) {
    this.number = number;
    this.directory = directory;
    const at = (name: string): string => join(directory, name);
    [this.root, this.tmp, this.store, this.inputs] = [
      at("root"),
      at("tmp"),
      at("store"),
      at("inputs"),
    ];
    this.#mountpoints = new Mountpoints(this.store, at("spare"));
  }

  /** Makes the slot's directory in `parent`, where nothing of that name is. */
  static async make(parent: string, number: number): Promise<Slot> {
    const slot = new Slot(number, join(parent, String(number)));
    const { directory, root, tmp, store, inputs } = slot;
    mkdirSync(directory, { mode: 0o700 });
    for (const path of [root, inputs, join(directory, "spare")]) mkdirSync(path, { mode: 0o755 });
    for (const path of [tmp, store]) mkdirSync(path);
    writeFilter(join(directory, "filter"));
    await promisify(execFile)("mkfifo", ["-m", "0600", join(directory, "holder")]);
    return slot;
  }

  async prepare({ layout, inTmp, stubs }: SlotContent): Promise<void> {
    this.#open();
    const wanted = JSON.stringify([...layout]);
    if (this.#layout !== wanted) {
      this.#layout = undefined;
      await removeTree(this.root);
      mkdirSync(this.root);
      writeSkeleton(this.root, layout);
      this.#layout = wanted;
    }
    if (inTmp !== undefined) mkdirSync(this.tmp + inTmp, { recursive: true });
    this.#mountpoints.arrange(stubs);
  }

  /** Moves what the builder made under the name `name` in the store to `to`; nothing happens if it made nothing. */
  moveOut(name: string, to: string): void {
    if (this.#mountpoints.has(name)) return;
    this.#open();
    using store = Directory.open(this.store);
    if (lstatSync(store.at(name), { throwIfNoEntry: false }) !== undefined) move(store, name, to);
  }

  /** Removes what a build left. No process of it lives any more. */
  async clean(): Promise<void> {
    this.#open();
    for (const name of ["command", "fstab"]) rmSync(join(this.directory, name), { force: true });
    if (readdirSync(this.tmp).length > 0) {
      await removeTree(this.tmp);
      mkdirSync(this.tmp);
    }
    const left = this.#leftInStore();
    if (left !== undefined) await removeTree(left);
  }

  /** Anybody may write, nobody may remove what is another's. A plain user's builder may have changed that. */
  #open(): void {
    for (const path of [this.tmp, this.store]) chmodSync(path, 0o1777);
  }

  /** Takes everything but the mountpoints out of the store; where it is then, if there was anything. */
  #leftInStore(): string | undefined {
    using store = Directory.open(this.store);
    const entries = store.entries().filter(({ latin1 }) => !this.#mountpoints.has(latin1));
    if (entries.length === 0) return undefined;
    const left = join(this.directory, "left");
    mkdirSync(left, { recursive: true });
    for (const [index, entry] of entries.entries()) {
      move(store, nameOf(entry), join(left, String(index)));
    }
    return left;
  }
}

function move(parent: Directory, name: FilePath, to: string): void {
  attempt(
    "move",
    () => parent.pathOf(name),
    () => {
      using held = hold(parent, name);
      // A directory that its owner may not write cannot get another parent: its ".." changes.
      if (held.stats.isDirectory() && (held.stats.mode & 0o700) !== 0o700)
        chmodSync(held.self, 0o700);
      renameSync(parent.at(name), to);
    },
  );
}
