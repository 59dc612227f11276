/** Why a sandbox could not be made, and what to do: known settings and what the tools say when they are in the way. */
import { readFileSync } from "node:fs";

/** Settings of the machine that forbid sandboxes; undefined where there is no such setting. */
export interface Facts {
  /** `0` on some distributions: only root makes user namespaces. */
  readonly unprivilegedUserNamespaces: string | undefined;
  readonly maxUserNamespaces: string | undefined;
  /** `1` on Ubuntu: only programs with a profile do. */
  readonly appArmorRestricts: string | undefined;
  readonly dmesgRestrict: string | undefined;
  readonly isRoot: boolean;
}

export interface Explanation {
  readonly reason: string;
  readonly hint: string;
}

export function readFacts(): Facts {
  return {
    unprivilegedUserNamespaces: setting("kernel/unprivileged_userns_clone"),
    maxUserNamespaces: setting("user/max_user_namespaces"),
    appArmorRestricts: setting("kernel/apparmor_restrict_unprivileged_userns"),
    dmesgRestrict: setting("kernel/dmesg_restrict"),
    isRoot: process.geteuid?.() === 0,
  };
}

/** @param complaints what was said to each way that was tried, the best one first */
export function explainFailure(complaints: readonly string[], facts: Facts): Explanation {
  const said = complaints.join("\n");
  const forbidden = "this kernel forbids user namespaces";
  if (facts.maxUserNamespaces === "0" || said.includes("No space left on device")) {
    const hint = "sysctl user.max_user_namespaces=10000; or run as root";
    return { reason: forbidden, hint };
  }
  if (facts.unprivilegedUserNamespaces === "0") {
    return { reason: forbidden, hint: "sysctl kernel.unprivileged_userns_clone=1; or run as root" };
  }
  if (facts.appArmorRestricts === "1" && /uid_map|Permission denied|not permitted/.test(said)) {
    return {
      reason: "AppArmor keeps programs without a profile from using user namespaces",
      hint: "a profile with `userns,` for unshare; or sysctl kernel.apparmor_restrict_unprivileged_userns=0; or run as root",
    };
  }
  if (/mount.*\bproc\b/.test(said)) {
    return {
      reason: "a /proc of its own is refused: this container hides parts of /proc",
      hint: "run the container with systempaths=unconfined",
    };
  }
  if (/unshare failed: Operation not permitted/.test(said)) {
    return {
      reason: "new namespaces are refused here",
      hint: facts.isRoot
        ? "a container needs CAP_SYS_ADMIN, or seccomp=unconfined (Docker) for namespaces of a user"
        : "a container needs seccomp=unconfined (Docker)",
    };
  }
  const reason = (complaints[0] ?? "nothing was tried").replaceAll(/\s*\n\s*/g, "; ");
  return { reason, hint: "util-linux 2.38 or newer is needed" };
}

function setting(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name}`, "utf8").trim();
  } catch {
    return undefined;
  }
}
