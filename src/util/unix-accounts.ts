/**
 * Users and groups of this machine. `getent` is asked first, because it also knows those of a directory service; where it is
 * missing, `/etc/passwd` and `/etc/group` are read.
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { KilnError } from "./kiln-error.ts";

export interface Group {
  readonly name: string;
  readonly gid: number;
  /** Names of those who have it as a further group. */
  readonly members: readonly string[];
}

export interface User {
  readonly name: string;
  readonly uid: number;
  /** The user's primary group. */
  readonly gid: number;
}

const run = promisify(execFile);

/** The group of this name, or of this number written in digits; undefined when there is none. */
export async function findGroup(name: string): Promise<Group | undefined> {
  const lines = await entries("group", name);
  return lines
    .map(parseGroup)
    .find((group) => group?.name === name || (/^\d+$/.test(name) && group?.gid === Number(name)));
}

/** The users who belong to a group: its members and those who have it as their primary group, by uid. */
export async function usersOf(group: Group): Promise<User[]> {
  const users = new Map<number, User>();
  for (const line of await entries("passwd")) {
    const user = parseUser(line);
    if (user?.gid === group.gid) users.set(user.uid, user);
  }
  for (const member of group.members) {
    const found = (await entries("passwd", member)).map(parseUser);
    const user = found.find((candidate) => candidate?.name === member);
    if (user === undefined) {
      throw new KilnError("user.unknown", `user ${member} of group ${group.name} does not exist`);
    }
    users.set(user.uid, user);
  }
  return [...users.values()].toSorted((a, b) => a.uid - b.uid);
}

/** Lines of a user database: those of `key`, or all. */
async function entries(database: "passwd" | "group", key?: string): Promise<string[]> {
  const args = key === undefined ? [database] : [database, "--", key];
  try {
    const { stdout } = await run("getent", args, { maxBuffer: 64 * 1024 * 1024 });
    return stdout.split("\n");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === 2) return []; // getent's word for "no such key"
    return (await readFile(`/etc/${database}`, "utf8")).split("\n");
  }
}

function parseGroup(line: string): Group | undefined {
  const [name, , gid, members = ""] = line.split(":");
  if (name === undefined || gid === undefined || !/^\d+$/.test(gid)) return undefined;
  return { name, gid: Number(gid), members: members.split(",").filter((member) => member !== "") };
}

function parseUser(line: string): User | undefined {
  const [name, , uid, gid] = line.split(":");
  if (name === undefined || uid === undefined || gid === undefined) return undefined;
  if (!/^\d+$/.test(uid) || !/^\d+$/.test(gid)) return undefined;
  return { name, uid: Number(uid), gid: Number(gid) };
}
