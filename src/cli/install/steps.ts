/** What an installation does to a machine, step by step: each can be told, done, and found done already. */
import { execFile } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { makeFolders } from "../../files/make-folders.ts";
import { writeWholeFile } from "../../files/whole-file.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { findGroup } from "../../util/unix-accounts.ts";
import { copyPackage } from "./package-copy.ts";
import { mark } from "./units.ts";

export type Step =
  | {
      readonly type: "folder";
      readonly path: string;
      readonly mode: number;
      /** Name of the group that is to own it; undefined: as it comes. */
      readonly group?: string;
    }
  | { readonly type: "package"; readonly path: string }
  | {
      readonly type: "file";
      readonly path: string;
      readonly content: string;
      readonly mode: number;
    }
  | { readonly type: "link"; readonly path: string; readonly target: string }
  | { readonly type: "group"; readonly name: string; readonly gid: number }
  | {
      readonly type: "user";
      readonly name: string;
      readonly uid: number;
      readonly group: string;
    }
  | { readonly type: "run"; readonly command: readonly string[] }
  | { readonly type: "remove"; readonly path: string; readonly what: "ours" | "folder" };

export type StepOutcome = "done" | "already";

/** The step in words, as a sentence without a dot. */
export function describeStep(step: Step): string {
  switch (step.type) {
    case "folder":
      return `make the folder ${step.path} (mode ${step.mode.toString(8)}${step.group === undefined ? "" : `, group ${step.group}`})`;
    case "package":
      return `copy Kiln and the Node it runs on to ${step.path}`;
    case "file":
      return `write ${step.path}`;
    case "link":
      return `link ${step.path} to ${step.target}`;
    case "group":
      return `make the group ${step.name} (${step.gid})`;
    case "user":
      return `make the user ${step.name} (${step.uid}) of group ${step.group}`;
    case "run":
      return `run ${step.command.join(" ")}`;
    case "remove":
      return `remove ${step.path}`;
    default:
      return step satisfies never;
  }
}

/**
 * Does a step, or finds that it was done before.
 *
 * @throws KilnError `install.taken` where somebody else's file is in the way, `install.failed` when a program of the system fails,
 * `file.*` when the file system refuses
 */
export async function doStep(step: Step): Promise<StepOutcome> {
  switch (step.type) {
    case "folder":
      return makeFolder(step);
    case "package":
      await copyPackage(step.path);
      return "done";
    case "file":
      return writeOwn(step.path, step.content, step.mode);
    case "link":
      return link(step.path, step.target);
    case "group":
      if ((await findGroup(step.name)) !== undefined) return "already";
      await run(["groupadd", "--system", "--gid", String(step.gid), "--", step.name]);
      return "done";
    case "user":
      return makeUser(step);
    case "run":
      await run(step.command);
      return "done";
    case "remove":
      return remove(step.path, step.what);
    default:
      return step satisfies never;
  }
}

async function makeFolder({
  path,
  mode,
  group,
}: Extract<Step, { type: "folder" }>): Promise<StepOutcome> {
  const isNew = makeFolders(path, 0o755) !== undefined;
  if (!isNew) return "already"; // whoever made it decided who may
  if (group !== undefined) {
    const found = await findGroup(group);
    if (found === undefined) throw new KilnError("group.unknown", `no group ${group}`);
    chownSync(path, -1, found.gid);
  }
  chmodSync(path, mode);
  return "done";
}

async function makeUser(step: Extract<Step, { type: "user" }>): Promise<StepOutcome> {
  const { stdout } = await execute("getent", ["passwd", "--", step.name]).catch(() => ({
    stdout: "",
  }));
  if (stdout !== "") return "already";
  await run([
    "useradd",
    "--system",
    `--uid=${step.uid}`,
    `--gid=${step.group}`,
    `--groups=${step.group}`,
    "--comment=Kiln build user",
    "--no-user-group",
    "--no-create-home",
    "--home-dir=/var/empty",
    "--shell=/usr/sbin/nologin",
    "--",
    step.name,
  ]);
  return "done";
}

/** Only over a file of ours: in one step, so that nobody ever reads half of it. */
function writeOwn(path: string, content: string, mode: number): StepOutcome {
  const there = contentOf(path);
  if (there === content) return "already";
  if (there !== undefined && !there.includes(mark)) throw taken(path);
  makeFolders(dirname(path));
  writeWholeFile(path, content, { mode });
  chmodSync(path, mode);
  return "done";
}

function link(path: string, target: string): StepOutcome {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there?.isSymbolicLink() === true && readlinkSync(path) === target) return "already";
  if (there !== undefined) throw taken(path);
  makeFolders(dirname(path));
  symlinkSync(target, path);
  return "done";
}

/** `ours`: a file that carries our mark, or a link; `folder`: a folder that only an installation fills. */
function remove(path: string, what: "ours" | "folder"): StepOutcome {
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there === undefined) return "already";
  if (what === "folder") {
    rmSync(path, { recursive: true });
    return "done";
  }
  if (there.isFile() && contentOf(path)?.includes(mark) !== true) throw taken(path);
  if (!there.isFile() && !there.isSymbolicLink()) throw taken(path);
  rmSync(path);
  return "done";
}

function contentOf(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

function taken(path: string): KilnError {
  return new KilnError("install.taken", `${path} is there already, and is not Kiln's`, {
    path,
    hint: "move it away, or choose another place with --prefix",
  });
}

const execute = promisify(execFile);

async function run(command: readonly string[]): Promise<void> {
  const [program = "", ...args] = command;
  try {
    await execute(program, args);
  } catch (error) {
    const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : "";
    const why = said || (error instanceof Error ? error.message : String(error));
    throw new KilnError("install.failed", `${command.join(" ")}: ${why}`, { cause: error });
  }
}
