/** `kiln install`, `kiln uninstall`: Kiln as a service of the machine, or of one user. */
import { existsSync } from "node:fs";
import { isStaticProgram } from "../../build/sandbox/program-files.ts";
import { defaultStoreDirectory } from "../../format/store-path.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { findGroup } from "../../util/unix-accounts.ts";
import { type CommandContext, say } from "../context.ts";
import { hostPaths } from "../host-paths.ts";
import {
  defaultBuildUsers,
  type InstallChoices,
  installSteps,
  keptPlaces,
  socketOf,
  uninstallSteps,
} from "../install/plan.ts";
import { describeStep, doStep, type Step } from "../install/steps.ts";
import { ownStore } from "../own-store.ts";
import { type Settings, settingsFrom } from "../settings.ts";

export interface InstallFlags {
  readonly singleUser?: boolean;
  readonly multiUser?: boolean;
  readonly prefix?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
  readonly service?: boolean;
  readonly buildUsersGroup?: string;
  readonly buildGid?: number;
  readonly buildUsers?: number;
  readonly firstBuildUid?: number;
  readonly socketGroup?: string;
  readonly shell?: string;
}

export async function install(
  _operands: readonly string[],
  flags: InstallFlags,
  context: CommandContext,
): Promise<void> {
  const choices = await choicesFrom(flags, context);
  await perform(installSteps(choices), flags, context);
  if (flags.dryRun === true || flags.json === true) return;
  const socket = socketOf(choices);
  if (choices.shell === undefined && choices.platform === "linux") {
    context.note(
      "no static shell: builders find no /bin/sh, but may ask for the host's folders (apt install busybox-static, then again)",
    );
  }
  if (!choices.hasService) context.note("installed; kiln serve starts the daemon");
  else if (choices.isServiceManagerRunning)
    context.note(`installed; the daemon listens at ${socket}`);
  else {
    context.note(
      `installed; ${choices.platform === "linux" ? "systemd" : "launchd"} does not run here, so the daemon was not started`,
    );
  }
}

export async function uninstall(
  _operands: readonly string[],
  flags: InstallFlags,
  context: CommandContext,
): Promise<void> {
  const choices = await choicesFrom(flags, context);
  await perform(uninstallSteps(choices), flags, context);
  if (flags.dryRun === true || flags.json === true) return;
  const kept = keptPlaces(choices).filter((path) => existsSync(path));
  context.note(`uninstalled${kept.length > 0 ? `; what was built stays: ${kept.join(", ")}` : ""}`);
}

async function perform(
  steps: readonly Step[],
  { dryRun, json }: InstallFlags,
  context: CommandContext,
): Promise<void> {
  for (const step of steps) {
    if (dryRun === true) {
      say(json === true ? JSON.stringify(step) : `would ${describeStep(step)}`);
      continue;
    }
    const outcome = await doStep(step);
    if (json === true) say(JSON.stringify({ ...step, outcome }));
    else if (outcome === "done") context.note(describeStep(step));
  }
}

async function choicesFrom(flags: InstallFlags, context: CommandContext): Promise<InstallChoices> {
  if ((flags.singleUser === true) === (flags.multiUser === true)) {
    throw new KilnError("usage.value", "for whom? --single-user or --multi-user", {
      hint: "--dry-run shows what would be done",
    });
  }
  const isMultiUser = flags.multiUser === true;
  const isRoot = process.geteuid?.() === 0;
  if (isMultiUser && !isRoot && flags.dryRun !== true) {
    throw new KilnError("install.denied", "only root can install for everybody", {
      hint: "run it as root, or give --single-user",
    });
  }
  const { platform } = process;
  if (platform !== "linux" && platform !== "darwin") {
    throw new KilnError("install.platform", `no installation is known for ${platform}`);
  }
  if (flags.socketGroup !== undefined && (await findGroup(flags.socketGroup)) === undefined) {
    throw new KilnError("group.unknown", `--socket-group: unknown group ${flags.socketGroup}`, {
      hint: `groupadd ${flags.socketGroup} makes it`,
    });
  }
  return {
    isMultiUser,
    platform,
    env: context.env,
    settings: await settingsFor(isMultiUser, context),
    prefix: flags.prefix,
    buildUsers: {
      group: flags.buildUsersGroup ?? defaultBuildUsers.group,
      gid: flags.buildGid ?? defaultBuildUsers.gid,
      count: flags.buildUsers ?? defaultBuildUsers.count,
      firstUid: flags.firstBuildUid ?? defaultBuildUsers.firstUid,
    },
    socketGroup: flags.socketGroup,
    shell: staticShell(flags.shell),
    hostPaths: hostPaths(),
    hasService: flags.service ?? true,
    isServiceManagerRunning: platform === "darwin" || existsSync("/run/systemd/system"),
  };
}

/** A user gets the store that his commands use where he cannot write to the standard one. */
async function settingsFor(isMultiUser: boolean, { env }: CommandContext): Promise<Settings> {
  const standard = settingsFrom({ store: defaultStoreDirectory }, {});
  if (isMultiUser) return standard;
  const sandbox = process.platform === "linux" ? undefined : "false";
  return await ownStore(standard, env, { create: true, sandbox });
}

/** The shell that was named, else Debian's busybox-static. */
function staticShell(named: string | undefined): string | undefined {
  if (named === undefined) return ["/bin/busybox"].find(isStaticProgram);
  if (named === "") return undefined;
  if (isStaticProgram(named)) return named;
  throw new KilnError("usage.value", `--shell: ${named} is not a statically linked program`, {
    path: named,
    hint: "Debian has one: apt install busybox-static; --shell= offers the host's folders instead",
  });
}
