/** The program beside a daemon that starts builders for it, which stays when they have ended. */
import { readFileSync } from "node:fs";

/** The process ids of its children. */
export function childrenOf(pid: number | undefined): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

/** Whether it is one whose daemon lives: not a process of a sandbox, which is a copy of it in a namespace of its own. */
export function isStarter(pid: number | string): boolean {
  try {
    if (!readFileSync(`/proc/${pid}/cmdline`, "latin1").includes("starter.pl")) return false;
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return /^NSpid:\s*\d+$/m.test(status) && !/^PPid:\s*1$/m.test(status);
  } catch {
    return false; // gone
  }
}
