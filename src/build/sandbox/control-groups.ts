/**
 * Limits for all processes of a build together, by control groups: version 2 where it has the controllers, else version 1.
 *
 * Which groups this process may make is found out by making one. Without any, `prlimit` limits each process for itself.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join, posix } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { errorCode, fileError } from "../../files/file-error.ts";
import { KilnError } from "../../util/kiln-error.ts";

/** What a build's processes may use together: bytes, and processes and threads. */
interface GroupLimits {
  readonly memory?: number;
  readonly processes?: number;
}

export type Controller = "memory" | "pids";

/** A place where groups with this controller can be made. */
export interface Hierarchy {
  readonly version: 1 | 2;
  readonly directory: string;
}

export type Hierarchies = { readonly [controller in Controller]?: Hierarchy };

/**
 * Where this process's own groups are.
 *
 * @param mountinfo /proc/self/mountinfo
 * @param membership /proc/self/cgroup
 */
export function ownGroups(
  mountinfo: string,
  membership: string,
): { readonly controllers: readonly string[]; readonly hierarchy: Hierarchy }[] {
  const paths = new Map(
    Array.from(membership.matchAll(/^\d+:([^:]*):(.*)$/gm), ([, names = "", path = ""]) => [
      names,
      path,
    ]),
  );
  return mountinfo.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const [, , , root = "/", mountpoint = ""] = before.split(" ");
    const [type, , options = ""] = after.split(" ");
    if (type !== "cgroup2" && type !== "cgroup") return [];
    const version = type === "cgroup2" ? 2 : 1;
    const words = options.split(",");
    const name = [...paths.keys()].find((names) =>
      version === 2
        ? names === ""
        : names.split(",").some((one) => one !== "" && words.includes(one)),
    );
    const path = name === undefined ? undefined : paths.get(name);
    if (name === undefined || path === undefined) return [];
    const directory = join(mountpoint, posix.relative(root, path));
    return [{ controllers: name.split(","), hierarchy: { version, directory } }];
  });
}

/** The controllers that can be used here: for which a group can be made below our own. */
export function findHierarchies(): Hierarchies {
  const groups = ownGroups(
    readFileSync("/proc/self/mountinfo", "utf8"),
    readFileSync("/proc/self/cgroup", "utf8"),
  );
  const found: { [controller in Controller]?: Hierarchy } = {};
  for (const { controllers, hierarchy } of groups) {
    for (const controller of ["memory", "pids"] as const) {
      const has =
        hierarchy.version === 2
          ? enable(hierarchy.directory, controller)
          : controllers.includes(controller);
      if (found[controller]?.version !== 2 && has && canMake(hierarchy, controller)) {
        found[controller] = hierarchy;
      }
    }
  }
  return found;
}

interface MadeGroup {
  readonly controller: Controller;
  readonly version: 1 | 2;
  readonly directory: string;
}

/** A group of one build. */
export class BuildGroup implements AsyncDisposable {
  readonly #groups: readonly MadeGroup[];

  private constructor(groups: readonly MadeGroup[]) {
    this.#groups = groups;
  }

  /**
   * Makes groups for those of the limits that there is a hierarchy for.
   *
   * @throws KilnError `limit.unset` when a limit cannot be set: a build is not run without one that was asked for
   */
  static make(name: string, limits: GroupLimits, hierarchies: Hierarchies): BuildGroup {
    const wanted = [
      ["memory", limits.memory],
      ["pids", limits.processes],
    ] as const;
    const groups: MadeGroup[] = [];
    try {
      for (const [controller, limit] of wanted) {
        const hierarchy = hierarchies[controller];
        if (limit === undefined || hierarchy === undefined) continue;
        const directory = join(hierarchy.directory, name);
        make(directory);
        groups.push({ controller, version: hierarchy.version, directory });
        for (const setting of settings(controller, hierarchy.version, limit)) {
          set(directory, setting);
        }
      }
      return new BuildGroup(groups);
    } catch (error) {
      for (const { directory } of groups) remove(directory);
      throw unset(error);
    }
  }

  /** Files that a process writes "0" into to enter. */
  get doors(): string[] {
    return [...new Set(this.#groups.map(({ directory }) => join(directory, "cgroup.procs")))];
  }

  /** The limit that the build ran into, if it did. */
  hit(): Controller | undefined {
    return this.#groups.find(({ controller, version, directory }) => {
      const [file, word] =
        controller === "pids"
          ? ["pids.events", "max"]
          : version === 2
            ? ["memory.events", "oom_kill"]
            : ["memory.oom_control", "oom_kill"];
      return (
        Number(new RegExp(`^${word} (\\d+)$`, "m").exec(read(join(directory, file)))?.[1] ?? 0) > 0
      );
    })?.controller;
  }

  /** No process of the build lives any more, though the kernel may take a moment to notice. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { directory } of this.#groups) {
      for (let tries = 0; !remove(directory) && tries < 100; tries++) await wait(5);
    }
  }
}

/** Names of all groups of builds begin so. */
export const groupPrefix = "kiln-build-";

/** Removes groups of builds that are over. */
export function sweepGroups(hierarchies: Hierarchies): void {
  for (const hierarchy of Object.values(hierarchies)) {
    const names = readdirSync(hierarchy.directory).filter(isLeft);
    for (const name of names) remove(join(hierarchy.directory, name));
  }
}

/** Whether nobody is about to use the group: another daemon may just have made it, and have nothing in it yet. */
function isLeft(name: string): boolean {
  if (!name.startsWith(groupPrefix)) return false;
  const [pid = ""] = /\d+/.exec(name.slice(groupPrefix.length)) ?? [];
  return pid === "" || pid === String(process.pid) || !existsSync(`/proc/${pid}`);
}

/** A file of a group and what is to be in it. Where `optional`, the kernel may not have it. */
interface Setting {
  readonly file: string;
  readonly value: string;
  readonly optional?: boolean;
}

function settings(controller: Controller, version: 1 | 2, limit: number): readonly Setting[] {
  const value = String(limit);
  if (controller === "pids") return [{ file: "pids.max", value }];
  if (version === 1) {
    return [
      { file: "memory.limit_in_bytes", value },
      // Memory and swap together; absent where swap is not counted.
      { file: "memory.memsw.limit_in_bytes", value, optional: true },
    ];
  }
  return [
    { file: "memory.max", value },
    { file: "memory.swap.max", value: "0", optional: true },
    { file: "memory.oom.group", value: "1", optional: true },
  ];
}

function set(directory: string, { file, value, optional = false }: Setting): void {
  const path = join(directory, file);
  try {
    // Never make one: on a directory of another file system that would look like success.
    writeFileSync(path, value, { flag: "r+" });
  } catch (error) {
    if (optional && errorCode(error) === "ENOENT") return;
    throw fileError("write", path, error);
  }
}

function unset(error: unknown): KilnError {
  const { message } = KilnError.from(error);
  return new KilnError("limit.unset", `the build's limits cannot be set: ${message}`, {
    kind: "internal",
    hint: "kiln doctor says what enforces limits here",
    cause: error,
  });
}

/** Gives groups below `directory` this controller. A group that has processes of its own cannot: they are moved down first. */
function enable(directory: string, controller: Controller): boolean {
  const available = read(join(directory, "cgroup.controllers")).trim().split(" ");
  if (!available.includes(controller)) return false;
  const control = join(directory, "cgroup.subtree_control");
  if (read(control).trim().split(" ").includes(controller)) return true;
  if (write(control, `+${controller}`)) return true;
  const own = join(directory, "kiln-daemon");
  make(own);
  if (!write(join(own, "cgroup.procs"), String(process.pid))) return false;
  if (write(control, `+${controller}`)) return true;
  write(join(directory, "cgroup.procs"), String(process.pid));
  remove(own);
  return false;
}

function canMake({ version, directory }: Hierarchy, controller: Controller): boolean {
  const trial = join(directory, `${groupPrefix}trial-${process.pid}`);
  try {
    make(trial);
    for (const setting of settings(controller, version, 1 << 30)) set(trial, setting);
    return true;
  } catch {
    return false;
  } finally {
    remove(trial);
  }
}

function make(directory: string): void {
  try {
    mkdirSync(directory);
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw fileError("make", directory, error);
  }
}

/** Whether there is nothing left to remove. */
function remove(directory: string): boolean {
  try {
    rmdirSync(directory);
    return true;
  } catch (error) {
    return errorCode(error) === "ENOENT";
  }
}

function write(file: string, text: string): boolean {
  try {
    // Never make one: on a directory of another file system that would look like success.
    writeFileSync(file, text, { flag: "r+" });
    return true;
  } catch {
    return false;
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
