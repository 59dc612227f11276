/** What a daemon that was killed may have left in its slots directory: processes that are about to end, and files. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { KilnError } from "../../util/kiln-error.ts";
import { KnownProcess } from "./known-process.ts";
import { MountTable } from "./mount-table.ts";

/**
 * Ends every sandbox whose slot is below `directory`. They end by themselves with their daemon, within some milliseconds; this
 * waits for it, and sees to it.
 *
 * @throws KilnError `process.survived`
 */
export async function endSandboxes(directory: string): Promise<void> {
  await Promise.all(sandboxProcesses(directory).map((pid) => new KnownProcess(pid).gone()));
}

/**
 * Takes away what is mounted below `directory` in our own view. Kiln mounts nothing there; whoever did, no file behind such a mount
 * may be removed with what Kiln left.
 *
 * @throws KilnError `sandbox.mounted`
 */
export function unmountBelow(directory: string, umount: string): void {
  // One may hide another, or several be on one place: those that can be reached go, until there are none.
  for (;;) {
    const places = MountTable.read().below(directory).toReversed();
    const [innermost] = places;
    if (innermost === undefined) return;
    const faults = places.flatMap((path) => faultOfUnmounting(path, umount) ?? []);
    if (faults.length < places.length) continue;
    const message = `something is mounted at ${innermost}, among what an earlier daemon left`;
    throw new KilnError("sandbox.mounted", message, {
      hint: `umount ${innermost}`,
      cause: faults[0],
    });
  }
}

function faultOfUnmounting(path: string, umount: string): unknown {
  try {
    execFileSync(umount, ["-n", "--lazy", "--", path], { stdio: "ignore" });
    return undefined;
  } catch (error) {
    return error;
  }
}

/**
 * First processes of sandboxes, which have been told the slot by their environment, and what waits for them. In a container
 * another daemon may have a directory of the same name: to its processes the name means another directory.
 */
function sandboxProcesses(directory: string): number[] {
  const mark = Buffer.from(`\0SLOT=${directory}/`);
  const own = identity(directory);
  return readdirSync("/proc")
    .filter((name) => /^[1-9]\d*$/.test(name))
    .filter((pid) => environment(pid).includes(mark))
    .filter((pid) => identity(`/proc/${pid}/root${directory}`) === own)
    .map(Number);
}

function identity(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

function environment(pid: string): Buffer {
  try {
    return Buffer.concat([Buffer.from("\0"), readFileSync(`/proc/${pid}/environ`)]);
  } catch {
    return Buffer.alloc(0); // gone, or somebody else's
  }
}
