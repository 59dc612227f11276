/**
 * What works on this machine and what does not: findings for people, each with what to do about it. Nothing is changed, and the store
 * is not opened: a daemon may have it.
 */
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { findHierarchies } from "../build/sandbox/control-groups.ts";
import { describeLimits } from "../build/sandbox/limits.ts";
import { MountTable } from "../build/sandbox/mount-table.ts";
import { describeSupport, probeSandbox, type SandboxSupport } from "../build/sandbox/support.ts";
import { hostSystem } from "../build/system.ts";
import { spaceHint } from "../files/file-error.ts";
import { freeBytes } from "../files/free-bytes.ts";
import { databaseError, restore } from "../store/database/error.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { findGroup, usersOf } from "../util/unix-accounts.ts";
import { DEFAULT_BUILD_USERS_GROUP } from "./options.ts";
import { kilnVersion } from "./version.ts";

export interface Finding {
  /** What it is about, one word: `sandbox`. */
  readonly about: string;
  /** `bad`: something does not work; `weak`: it works, and could be better. */
  readonly state: "good" | "weak" | "bad";
  readonly text: string;
  /** What to do about it. */
  readonly hint?: string;
}

export interface Patient {
  /** Where the objects lie, or would. */
  readonly realStoreDirectory: string;
  readonly database: string;
  /** Parent of the builders' directories; default: the machine's temporary directory. */
  readonly buildDirectory?: string | undefined;
  /** Group whose members run builders; default the conventional one, for root. */
  readonly buildUsersGroup?: string | undefined;
}

/** Findings in a fixed order: about the program, the store, the sandbox, limits, users. */
export async function diagnose(patient: Patient): Promise<Finding[]> {
  return [
    program(),
    ...store(patient),
    ...database(patient.database),
    ...buildDirectory(patient.buildDirectory ?? tmpdir()),
    ...(await sandbox(patient)),
    ...(await buildUsers(patient)),
    ...descriptors(),
  ];
}

function program(): Finding {
  const text = `kiln ${kilnVersion} on Node ${process.versions.node}, ${hostSystem()}, ${availableParallelism()} CPUs`;
  return { about: "kiln", state: "good", text };
}

/** With less than this nothing can be written. */
const workingSpace = 1024 ** 2;

/** Less than this is soon used up. */
const littleSpace = 1024 ** 3;

function store({ realStoreDirectory, database }: Patient): Finding[] {
  const findings: Finding[] = [];
  for (const path of new Set([realStoreDirectory, dirname(database)])) {
    const place = firstExisting(path);
    if (!isWritable(place)) {
      const text = `${path} cannot be written`;
      findings.push({ about: "store", state: "bad", text, hint: "--store names another place" });
      continue;
    }
    const free = freeBytes(place);
    if (free < workingSpace) {
      const text = `the disk of ${path} is full`;
      findings.push({ about: "store", state: "bad", text, hint: spaceHint });
      continue;
    }
    const gibibytes = (free / 1024 ** 3).toFixed(1);
    const what = place === path ? path : `${path} (not there yet)`;
    const text = `${what}: ${gibibytes} GiB free`;
    if (free >= littleSpace) findings.push({ about: "store", state: "good", text });
    else findings.push({ about: "store", state: "weak", text, hint: "make room" });
  }
  return findings;
}

/**
 * What is damaged in the database. It is read as a file that nobody changes, which it is while there is no write-ahead log; a server that
 * has it open would know.
 */
function database(path: string): Finding[] {
  if (!isFilled(path) || isFilled(`${path}-wal`) || !isReadable(path)) return [];
  try {
    const url = pathToFileURL(path);
    url.searchParams.set("immutable", "1");
    const sql = new DatabaseSync(url, { readOnly: true });
    try {
      const answer = String(sql.prepare("pragma quick_check(1)").get()?.["quick_check"]);
      if (answer === "ok") return [];
      const text = `database ${path}: the file is damaged (${answer.split("\n").at(-1)})`;
      return [{ about: "store", state: "bad", text, hint: restore }];
    } finally {
      sql.close();
    }
  } catch (error) {
    const { message, hint = restore } = databaseError(error, path);
    return [{ about: "store", state: "bad", text: message, hint }];
  }
}

function isFilled(path: string): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

/** Another user's is not ours to judge. */
function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

function buildDirectory(path: string): Finding[] {
  const about = "builds";
  const hint = "serve --build-root, or TMPDIR, names another place";
  if (!isWritable(path)) {
    return [{ about, state: "bad", text: `the build directory ${path} cannot be written`, hint }];
  }
  if (process.platform !== "linux" || !MountTable.read().flagsAt(path).includes("noexec"))
    return [];
  const text = `${path} is mounted noexec: builders cannot run programs that they make`;
  return [{ about, state: "weak", text, hint }];
}

async function sandbox({ realStoreDirectory }: Patient): Promise<Finding[]> {
  // Where it will be done, if it can be tried there: file systems differ.
  const place = [firstExisting(realStoreDirectory), tmpdir()].find(hasRoom);
  if (place === undefined) {
    const text = `whether builders can be isolated was not tried: ${tmpdir()} has no room for it`;
    return [{ about: "sandbox", state: "weak", text, hint: "make space there, or give a TMPDIR" }];
  }
  await using folder = await temporaryDirectory(place, "doctor-");
  return sandboxFindings(await probeSandbox({ directory: folder.path }));
}

/** What a probe's outcome means for builds here. */
export function sandboxFindings(support: SandboxSupport): Finding[] {
  const about = "sandbox";
  if (!support.available) {
    const text = `builders cannot be isolated: ${support.reason}`;
    return [{ about, state: "bad", text, hint: support.hint }];
  }
  const limits = describeLimits(findHierarchies(), support.tools.prlimit !== undefined);
  return [
    { about, state: "good", text: `builders are isolated: ${describeSupport(support)}` },
    ...support.notes.map((note): Finding => ({ about, state: "weak", ...note })),
    { about: "limits", state: "good", text: limits.join(", ") },
  ];
}

async function buildUsers({ buildUsersGroup }: Patient): Promise<Finding[]> {
  if (process.geteuid?.() !== 0 || buildUsersGroup === "") return [];
  const about = "users";
  const name = buildUsersGroup ?? DEFAULT_BUILD_USERS_GROUP;
  const group = await findGroup(name);
  if (group === undefined) {
    const text = `there is no group ${name}: sandboxed builders run under numbers that belong to nobody, others as root`;
    return [{ about, state: "weak", text, hint: "kiln install --multi-user makes build users" }];
  }
  const count = (await usersOf(group)).length;
  const text = `${count} users of the group ${name} run builders`;
  const hint = "kiln install --multi-user makes build users";
  return [{ about, ...(count === 0 ? { state: "bad", hint } : { state: "good" }), text }];
}

/** How many open files a daemon with many clients and builds may want. */
const manyFiles = 4096;

function descriptors(): Finding[] {
  if (process.platform !== "linux") return [];
  const limits = readFileSync("/proc/self/limits", "utf8");
  const most = Number(/^Max open files +(\d+)/m.exec(limits)?.[1] ?? Infinity);
  if (most >= manyFiles) return [];
  const text = `at most ${most} files can be open: that is few for a daemon`;
  return [{ about: "files", state: "weak", text, hint: `ulimit -n ${manyFiles}` }];
}

/** The path, or what there is of it. */
function firstExisting(path: string): string {
  while (statSync(path, { throwIfNoEntry: false }) === undefined && path !== dirname(path)) {
    path = dirname(path);
  }
  return path;
}

function hasRoom(folder: string): boolean {
  return isWritable(folder) && freeBytes(folder) >= workingSpace;
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
