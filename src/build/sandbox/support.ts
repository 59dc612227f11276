/**
 * Whether builders can be isolated on this machine, how well, and what to do where they cannot.
 *
 * Nothing is concluded from versions or settings: a small sandbox is made and looked at from inside. Only its failure is explained
 * by them.
 */
import { readFileSync } from "node:fs";
import { KilnError } from "../../util/kiln-error.ts";
import { explainFailure, readFacts } from "./explain.ts";
import { firstPrivateID, privateIDs } from "./identity.ts";
import { findGuard, type Guard } from "./guard.ts";
import { type Mode, perlFor } from "./start.ts";
import { findTools, type Tools } from "./tools.ts";
import { tryOut } from "./trial.ts";

/** Something a person may want to know or mend. */
export interface Note {
  readonly text: string;
  readonly hint?: string;
}

export interface WorkingSupport {
  readonly available: true;
  readonly tools: Tools;
  /** Who makes the namespaces: the host's root, or a plain user as root of a user namespace. */
  readonly mode: Mode;
  /** Whether builders get a user namespace of their own, in which they are always uid 1000, gid 100. */
  readonly inner: boolean;
  /** What filters the system calls of builders; undefined where nothing does. */
  readonly guard: Guard | undefined;
  /** The namespaces a builder has for itself. */
  readonly namespaces: readonly string[];
  /** What is weaker here than it could be. */
  readonly notes: readonly Note[];
}

export interface MissingSupport {
  readonly available: false;
  /** Why builders cannot be isolated: lower case, no full stop. */
  readonly reason: string;
  readonly hint: string;
}

export type SandboxSupport = WorkingSupport | MissingSupport;

export interface ProbeOptions {
  /** An existing private folder on the store's file system. */
  readonly directory: string;
  /** Where the tools are looked for; default: the usual places, then this process's PATH. */
  readonly searchPath?: string;
}

const noSandbox = "--sandbox=false builds without isolation";

const usualPlaces = "/usr/sbin:/usr/bin:/sbin:/bin";

/** Tries what works here, best first. Takes about 60 ms. */
export async function probeSandbox(options: ProbeOptions): Promise<SandboxSupport> {
  if (process.platform !== "linux") {
    return {
      available: false,
      reason: `there is no sandbox for ${process.platform}`,
      hint: noSandbox,
    };
  }
  const searchPath = options.searchPath ?? `${usualPlaces}:${process.env["PATH"] ?? ""}`;
  const found = await findTools(searchPath);
  if ("missing" in found) {
    const reason = `programs are missing: ${found.missing.join(", ")}`;
    return { available: false, reason, hint: "install them with the system's package manager" };
  }
  const { tools } = found;
  const { directory } = options;
  const start = { setpriv: tools.setpriv, shell: tools.shell.program, directory };
  const guard = await findGuard(tools.guards, start);
  const complaints: string[] = [];
  for (const way of waysToTry()) {
    try {
      await tryOut({ ...way, tools, guard, directory });
      return supportFrom(tools, { ...way, guard });
    } catch (error) {
      complaints.push(KilnError.from(error).message);
    }
  }
  return { available: false, ...explainFailure(complaints, readFacts()) };
}

/** One line for the record of a build: how it was isolated. */
export function describeSupport(support: SandboxSupport): string {
  if (!support.available) return `none: ${support.reason}`;
  const { namespaces, mode, guard } = support;
  const filter = guard === undefined ? "no seccomp" : "seccomp";
  return `${namespaces.join(" ")} namespaces (${mode}), no new privileges, ${filter}`;
}

interface Way {
  readonly mode: Mode;
  readonly inner: boolean;
}

function supportFrom(tools: Tools, way: Way & Pick<WorkingSupport, "guard">): WorkingSupport {
  const hasUser = way.inner || way.mode === "user";
  const namespaces = [...(hasUser ? ["user"] : []), "mount", "pid", "ipc", "uts", "net", "cgroup"];
  return { available: true, tools, ...way, namespaces, notes: notesOn(tools, way) };
}

function notesOn(
  tools: Tools,
  { mode, inner, guard }: Way & Pick<WorkingSupport, "guard">,
): Note[] {
  const notes: Note[] = [];
  const needsPrograms = perlFor({ guard, inner }) === undefined;
  if (needsPrograms && tools.hostname === undefined && mode === "user") {
    notes.push({ text: "builders see this machine's name", hint: "install hostname" });
  }
  if (needsPrograms && tools.ip === undefined) {
    notes.push({ text: "builders have no loopback interface", hint: "install ip (iproute2)" });
  }
  if (guard === undefined) {
    const text =
      "builders can make every system call, those for keyrings and virtual machines, too";
    notes.push({ text, hint: "install perl, or util-linux 2.41" });
  }
  if (!inner) {
    const hint = "sysctl user.max_user_namespaces=10000";
    notes.push({ text: "builders have no user namespace of their own", hint });
  }
  if (mode === "user" && process.geteuid?.() === 0) {
    const text = "builders run as the root of this container, though without any of its powers";
    notes.push({ text, hint: "run Kiln as another user, or with CAP_SYS_ADMIN" });
  }
  if (guard === undefined && readFacts().dmesgRestrict === "0") {
    const hint = "sysctl kernel.dmesg_restrict=1";
    notes.push({ text: "builders can read the kernel's log", hint });
  }
  return notes;
}

function waysToTry(): Way[] {
  const plain: Way = { mode: "user", inner: true };
  if (process.geteuid?.() !== 0 || !hasPrivateIDs()) return [plain];
  return [{ mode: "root", inner: true }, { mode: "root", inner: false }, plain];
}

/** Whether the ids exist here: in a container's user namespace they often do not. */
function hasPrivateIDs(): boolean {
  return ["uid_map", "gid_map"].every((file) =>
    isMapped(readFileSync(`/proc/self/${file}`, "utf8"), firstPrivateID, privateIDs),
  );
}

/** Whether `count` ids from `first` on exist by a map as /proc has it: lines of "inside outside count". */
export function isMapped(map: string, first: number, count: number): boolean {
  return map.split("\n").some((line) => {
    const [start = NaN, , length = NaN] = line.trim().split(/\s+/).map(Number);
    return start <= first && first + count <= start + length;
  });
}
