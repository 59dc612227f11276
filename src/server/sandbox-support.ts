/** Whether this machine lets us isolate builders. */
import { execFileSync } from "node:child_process";

/** Whether builders can be isolated on this operating system: Linux only. */
export function systemSupportsSandbox(): boolean {
  return process.platform === "linux";
}

let tried: boolean | undefined;

/** Whether this process could isolate builders: as root, or where unprivileged user namespaces work. Tried once. */
export function canSandbox(): boolean {
  if (!systemSupportsSandbox()) return false;
  if (process.geteuid?.() === 0) return true;
  tried ??= userNamespacesWork();
  return tried;
}

function userNamespacesWork(): boolean {
  try {
    execFileSync("unshare", ["--user", "--map-root-user", "--mount", "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
