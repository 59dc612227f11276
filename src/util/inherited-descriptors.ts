/**
 * Open files that came from whoever started this process, and that every program it starts would get, too.
 *
 * Node marks what it opens itself as close-on-exec, and of what it inherits only the first few.
 */
import { closeSync, readdirSync, readFileSync } from "node:fs";

const closeOnExec = 0o2000000;

/** The descriptors above 2 that a child process would inherit; none where there is no /proc. */
export function inheritedDescriptors(): number[] {
  let names: string[];
  try {
    names = readdirSync("/proc/self/fd");
  } catch {
    return [];
  }
  return names.map(Number).filter((fd) => fd > 2 && isInheritable(fd));
}

/**
 * Closes them, but for those that systemd passed for their own sake. For programs that own their process, at their start:
 * others may have a use for what they were given.
 */
export function closeInheritedDescriptors(env: NodeJS.ProcessEnv = process.env): void {
  const passed = Number(env["LISTEN_PID"]) === process.pid ? Number(env["LISTEN_FDS"]) || 0 : 0;
  for (const fd of inheritedDescriptors()) {
    if (fd >= 3 + passed) closeSync(fd);
  }
}

function isInheritable(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, "latin1"));
    return flags !== null && (Number.parseInt(flags[1] ?? "", 8) & closeOnExec) === 0;
  } catch {
    return false; // it was the one that listed the others
  }
}
