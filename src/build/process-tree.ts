/**
 * Finding and ending the processes of a build that has no namespace or control group of its own.
 *
 * A builder leads a session and a process group, but its children may leave both. They keep what they were born with: an
 * environment that names the build directory, or a working directory in it. Both are looked for in /proc after the builder's
 * end. (A process that has shed all of this is out of reach without a sandbox.)
 */
import { Buffer } from "node:buffer";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { KilnError } from "../util/kiln-error.ts";

/** What the processes of one build have in common. */
export interface Marks {
  /** The builder, which leads its session and process group; undefined when it is not known any more. */
  readonly leader: Leader | undefined;
  /** The build directory on this machine; undefined when only the user counts. */
  readonly directory: string | undefined;
  /** A user id that nobody else uses now. */
  readonly uid?: number | undefined;
}

/** A builder that was started from here. While it is not disposed of, its session is known to be its own. */
export class Leader implements Disposable {
  readonly pid: number;
  /** In clock ticks since the machine started; undefined when the process was gone at once. */
  readonly startTime: number | undefined;
  /** On a clock that never jumps, in milliseconds. */
  readonly #begun = performance.now();

  constructor(pid: number) {
    this.pid = pid;
    this.startTime = readStat(pid)?.startTime;
    leaders.add(pid);
  }

  /** So young that process ids cannot have been given out again since its start. */
  get isYoung(): boolean {
    return performance.now() - this.#begun < 1000;
  }

  [Symbol.dispose](): void {
    leaders.delete(this.pid);
  }
}

const hasProc = process.platform === "linux";

/** So many process ids are looked at one by one rather than in the list of all. */
const fewIds = 16;

/** The builders under way. What is in the session of one of them is not a part of another build. */
const leaders = new Set<number>();

interface ProcessStat {
  readonly group: number;
  readonly session: number;
  readonly startTime: number;
  readonly isDead: boolean;
}

/** /proc as it is now; what is read of a process is read once. */
class ProcessTable {
  /** The process id given out last. */
  readonly #last: number;
  #pids: readonly number[] | undefined;
  readonly #stats = new Map<number, ProcessStat | undefined>();
  readonly #environments = new Map<number, Buffer>();

  constructor() {
    const load = readFileSync("/proc/loadavg", "latin1");
    this.#last = Number(load.slice(load.lastIndexOf(" ")));
  }

  get pids(): readonly number[] {
    return (this.#pids ??= livingProcesses());
  }

  /** Living processes that carry one of the marks. */
  find(marks: Marks): number[] {
    return this.#candidates(marks).filter((pid) => this.#belongs(pid, marks));
  }

  /** A quick look that spares most processes a closer one: ids are given out in order, and begin anew after the highest. */
  #candidates({ leader }: Marks): readonly number[] {
    if (leader === undefined || !leader.isYoung) return this.pids;
    const { pid: first } = leader;
    const count = this.#last - first + 1;
    if (count > 0 && count <= fewIds) return Array.from({ length: count }, (_, i) => first + i);
    return this.pids.filter((pid) => {
      const [isLater, isGivenOut] = [pid >= first, pid <= this.#last];
      return count > 0 ? isLater && isGivenOut : isLater || isGivenOut;
    });
  }

  #belongs(pid: number, { leader, directory, uid }: Marks): boolean {
    const stat = this.#stat(pid);
    if (stat === undefined || stat.isDead) return false;
    if (uid !== undefined && uidOf(pid) === uid) return true;
    if (leader !== undefined) {
      if (stat.group === leader.pid || stat.session === leader.pid) return true;
      if (leader.startTime !== undefined && stat.startTime < leader.startTime) return false;
    }
    if (directory === undefined || leaders.has(stat.session)) return false;
    return (
      this.#environment(pid).includes(`=${directory}`) ||
      isWithin(linkOf(`/proc/${pid}/cwd`), directory)
    );
  }

  /** Undefined when the process is gone. */
  #stat(pid: number): ProcessStat | undefined {
    if (!this.#stats.has(pid)) this.#stats.set(pid, readStat(pid));
    return this.#stats.get(pid);
  }

  #environment(pid: number): Buffer {
    let environment = this.#environments.get(pid);
    if (environment === undefined) {
      environment = readOf(pid, "environ");
      this.#environments.set(pid, environment);
    }
    return environment;
  }
}

/** All but this one and its parent. */
function livingProcesses(): number[] {
  const { pid: own, ppid } = process;
  const names = readdirSync("/proc").filter((name) => /^[1-9][0-9]*$/.test(name));
  return names.map(Number).filter((pid) => pid !== own && pid !== ppid);
}

let next: Promise<ProcessTable> | undefined;

/** /proc as it is soon; those who ask in the same moment share one reading. */
function processTable(): Promise<ProcessTable> {
  next ??= new Promise((resolve, reject) => {
    setImmediate(() => {
      next = undefined;
      try {
        resolve(new ProcessTable());
      } catch (error) {
        reject(KilnError.from(error, "process.list"));
      }
    });
  });
  return next;
}

/**
 * Kills every process that carries one of the marks, and waits until none is left.
 *
 * @throws KilnError `process.survived` when one cannot be killed within `patience` milliseconds.
 */
export async function endProcesses(marks: Marks, patience = 10_000): Promise<void> {
  if (marks.leader !== undefined) signalGroup(marks.leader.pid, "SIGKILL");
  const deadline = performance.now() + patience;
  for (let pause = 1; ; pause = Math.min(pause * 2, 50)) {
    const found = hasProc ? (await processTable()).find(marks) : groupOf(marks);
    if (found.length === 0) return;
    if (performance.now() > deadline) {
      throw new KilnError("process.survived", `processes ${found.join(", ")} cannot be killed`, {
        kind: "internal",
      });
    }
    for (const pid of found) signalTo(pid, "SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** Where there is no /proc to look at: the group, if anything is left of it. */
function groupOf({ leader }: Marks): number[] {
  if (leader === undefined) return [];
  try {
    process.kill(-leader.pid, 0);
    return [-leader.pid];
  } catch {
    return [];
  }
}

/** Kills every process that has the file at `path` open. */
export function killHoldersOf(path: string): void {
  if (!hasProc) return;
  for (const pid of new ProcessTable().pids) {
    if (openFiles(pid).includes(path)) signalTo(pid, "SIGKILL");
  }
}

/** Sends a signal to every member of the process group; nothing happens when there is none. */
export function signalGroup(leader: number, signal: NodeJS.Signals): void {
  signalTo(-leader, signal);
}

function signalTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It is gone, or is not ours to kill; whether any is left is looked at elsewhere.
  }
}

function readStat(pid: number): ProcessStat | undefined {
  const text = readOf(pid, "stat").toString("latin1");
  // "pid (name) state ppid group session …"; the name may hold anything, also parentheses.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ", 20);
  if (fields.length < 20) return undefined;
  return {
    group: Number(fields[2]),
    session: Number(fields[3]),
    startTime: Number(fields[19]),
    isDead: fields[0] === "Z" || fields[0] === "X",
  };
}

/** Empty when the process is gone or hides it. */
function readOf(pid: number, file: string): Buffer {
  try {
    return readFileSync(`/proc/${pid}/${file}`);
  } catch {
    return Buffer.alloc(0);
  }
}

/** Empty when there is no such link, or none for us. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function openFiles(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => linkOf(`/proc/${pid}/fd/${fd}`));
  } catch {
    return [];
  }
}

function uidOf(pid: number): number | undefined {
  return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}
