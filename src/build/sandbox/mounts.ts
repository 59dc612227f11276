/**
 * What is mounted for one build, in order.
 *
 * The real store directory is mounted once, read-only, beside the root (`inputs/`, where no builder gets); each input is then a
 * plain bind mount from there and takes read-only, nosuid and nodev over from it. That halves the system calls of a build with a
 * thousand inputs. Options of the host's own mounts are repeated: a plain user may not take them away.
 */
import { existsSync, realpathSync, statfsSync } from "node:fs";
import { join } from "node:path";
import type { StoreDirectory } from "../../format/store-path.ts";
import type { Mount } from "./fstab.ts";
import { devices, type ResolvedPath } from "./layout.ts";
import type { MountTable } from "./mount-table.ts";

/** The directories of a slot that are mounted, and where the root is put together. */
export interface SlotPlaces {
  readonly root: string;
  readonly tmp: string;
  readonly store: string;
  readonly inputs: string;
}

export interface MountOptions {
  readonly slot: SlotPlaces;
  readonly workDirectory: string;
  readonly storeDirectory: StoreDirectory;
  /** Where the objects lie on this machine. */
  readonly realDirectory: string;
  /** Names of the objects to be mounted. */
  readonly objects: Iterable<string>;
  readonly paths: readonly ResolvedPath[];
  readonly table: MountTable;
}

export function mountsOf(options: MountOptions): Mount[] {
  const { slot, storeDirectory } = options;
  const at = (inside: string): string => slot.root + inside;
  const store = at(storeDirectory);
  const bind = new Binder(options.table);
  return [
    // Read-only: without it a plain user's builder, who owns the skeleton, could change it.
    ...bind.readOnly(slot.root, slot.root),
    ...devices.map((name) => bind.device(`/dev/${name}`, at(`/dev/${name}`))),
    special("proc", at("/proc"), ["nosuid", "nodev", "noexec", "hidepid=2"]),
    special("devpts", at("/dev/pts"), [
      "newinstance",
      "ptmxmode=0666",
      "mode=0620",
      "nosuid",
      "noexec",
    ]),
    special("tmpfs", at("/dev/shm"), ["nosuid", "nodev", "mode=1777", "size=50%"]),
    bind.writable(options.workDirectory, at("/build")),
    bind.writable(slot.tmp, at("/tmp")),
    bind.writable(slot.store, store),
    ...bind.readOnly(options.realDirectory, slot.inputs),
    ...Array.from(options.objects, (name) => plain(join(slot.inputs, name), `${store}/${name}`)),
    ...options.paths.flatMap((path) => bind.path(path, at(path.inside))),
    ...systemCovers(options.table),
  ];
}

/**
 * A file system that shows the machine, and that a builder could mount in namespaces of its own: the kernel lets it where one is
 * already to be seen whole. Those of the host are still there, below the builder's root; so something is put over a part of them.
 */
function systemCovers(table: MountTable): Mount[] {
  return table
    .ofType("sysfs")
    .map((path) => join(path, "kernel"))
    .filter((path) => existsSync(path) && statfsSync(path).type === sysfsMagic)
    .map((path) => special("tmpfs", path, ["ro", "nosuid", "nodev", "noexec", "size=4k"]));
}

/** `SYSFS_MAGIC` of `linux/magic.h`. */
const sysfsMagic = 0x62656572;

class Binder {
  readonly #table: MountTable;

  constructor(table: MountTable) {
    this.#table = table;
  }

  path(path: ResolvedPath, target: string): Mount[] {
    if (path.type === "link") return [];
    if (path.type === "device") return [this.device(path.source, target)];
    return this.readOnly(path.source, target);
  }

  /** With what is mounted inside of it, which is covered by read-only mounts in turn: `ro` reaches the outermost one only. */
  readOnly(source: string, target: string): Mount[] {
    const real = realpathSync(source);
    // What another mount hides is on the list, too, but cannot be reached.
    const inner = this.#table.below(real).filter((path) => existsSync(path));
    const outer = this.#bind(source, target, [inner.length === 0 ? "bind" : "rbind", "ro"]);
    return [
      outer,
      ...inner.map((path) => this.#bind(path, target + path.slice(real.length), ["bind", "ro"])),
    ];
  }

  writable(source: string, target: string): Mount {
    return this.#bind(source, target, ["bind"]);
  }

  /** Devices stay usable, also for writing: `ro` is about the file's attributes. */
  device(source: string, target: string): Mount {
    const options = ["bind", "ro", "nosuid", "noexec"];
    return { source, target, type: "none", options };
  }

  #bind(source: string, target: string, options: readonly string[]): Mount {
    const flags = new Set([
      ...options,
      "nosuid",
      "nodev",
      ...this.#table.flagsAt(realpathSync(source)),
    ]);
    return { source, target, type: "none", options: [...flags] };
  }
}

function plain(source: string, target: string): Mount {
  return { source, target, type: "none", options: ["bind"] };
}

function special(type: string, target: string, options: readonly string[]): Mount {
  return { source: type, target, type, options };
}
