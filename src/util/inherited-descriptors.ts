/**
 * Open files that came from whoever started this process, and that every program it starts would get, too.
 *
 * Node marks what it opens itself as close-on-exec, and of what it inherits only the first few.
 */
import { closeSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";

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
 * Closes them, but for those in `keep`. For programs that own their process, at their start: others may have a use for what they
 * were given.
 */
export function closeInheritedDescriptors(keep: readonly number[] = []): void {
  for (const fd of inheritedDescriptors()) {
    if (!keep.includes(fd) && !isForDebugging(fd)) closeSync(fd);
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

/**
 * Whether V8 has opened it to write about this process, as it does when somebody looks for faults (`--perf-basic-prof`, `--perf-prof`,
 * `--prof`): it goes on writing to that descriptor, whatever it is then.
 */
function isForDebugging(fd: number): boolean {
  const { pid } = process;
  try {
    const name = basename(readlinkSync(`/proc/self/fd/${fd}`));
    return (
      name === `perf-${pid}.map` || name === `jit-${pid}.dump` || name.endsWith(`-${pid}-v8.log`)
    );
  } catch {
    return false;
  }
}
