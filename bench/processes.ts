/** What a process and all below it are and take, from /proc. */
import { readdirSync, readFileSync } from "node:fs";

interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Milliseconds of processor time, its own and that of children that have ended. */
  readonly time: number;
}

/** Linux's ticks of processor time, in milliseconds. */
const tick = 10;

/** A process and all below it, as they are now. */
export function processesOf(pid: number): Process[] {
  const all = readdirSync("/proc").flatMap((name) => look(name) ?? []);
  const found = all.filter((one) => one.pid === pid);
  for (const { pid: parent } of found) found.push(...all.filter((one) => one.parent === parent));
  return found;
}

function look(name: string): Process | undefined {
  if (!/^[1-9][0-9]*$/.test(name)) return undefined;
  try {
    const text = readFileSync(`/proc/${name}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    return { pid: Number(name), parent: Number(fields[1]), time: ticks * tick };
  } catch {
    return undefined; // it has ended meanwhile
  }
}
