/** Whether this machine lets us isolate builders. */
import { execFileSync } from "node:child_process";

/** Whether builders can be isolated on this operating system: Linux only. */
export function systemSupportsSandbox(): boolean {
  return process.platform === "linux";
}

let tried: boolean | undefined;

/**
 * Whether this process could isolate builders: as root who may make namespaces, or where unprivileged user namespaces work. Tried
 * once, and only roughly: `kiln doctor` tells more.
 */
export function canSandbox(): boolean {
  tried ??= systemSupportsSandbox() && namespacesWork();
  return tried;
}

function namespacesWork(): boolean {
  const isRoot = process.geteuid?.() === 0;
  return (isRoot && works(["--mount"])) || works(["--user", "--map-root-user", "--mount"]);
}

function works(flags: readonly string[]): boolean {
  try {
    execFileSync("unshare", [...flags, "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
