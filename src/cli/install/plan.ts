/** What `kiln install` and `kiln uninstall` would do to a machine, as a list of steps. */
import { dirname, join } from "node:path";
import { DEFAULT_BUILD_USERS_GROUP } from "../../server/options.ts";
import { type Environment, homeOf, xdgDirectory } from "../xdg.ts";
import type { Settings } from "../settings.ts";
import type { Step } from "./steps.ts";
import { type DaemonCommand, launchdService, systemdService, systemdSocket } from "./units.ts";

export interface InstallChoices {
  /** For everybody on the machine, by root; else for the user who asks. */
  readonly isMultiUser: boolean;
  readonly platform: "linux" | "darwin";
  readonly env: Environment;
  /** The store that the daemon is to serve: the standard one for everybody, else that user's own. */
  readonly settings: Settings;
  /** Where `lib/kiln` and `bin/kiln` go; default `/usr/local`, or `~/.local` of one user. */
  readonly prefix: string | undefined;
  readonly buildUsers: {
    readonly group: string;
    readonly gid: number;
    readonly count: number;
    readonly firstUid: number;
  };
  /** Group that may use the daemon; undefined: root alone. */
  readonly socketGroup: string | undefined;
  /** A statically linked shell that builders find as /bin/sh; undefined: they may ask for the host's programs. */
  readonly shell: string | undefined;
  /** Paths of the host that builders may ask for when there is no such shell. */
  readonly hostPaths: readonly string[];
  /** Whether to write the files of systemd or launchd. */
  readonly hasService: boolean;
  /** Whether systemd or launchd runs here, so that the daemon can be started. */
  readonly isServiceManagerRunning: boolean;
}

/** What zb's installer takes, so that a machine that had zb keeps its users. */
export const defaultBuildUsers: InstallChoices["buildUsers"] = {
  group: DEFAULT_BUILD_USERS_GROUP,
  gid: 256_000,
  count: 32,
  firstUid: 256_001,
};

/** Everything in the order in which it is done: what exists before what uses it. */
export function installSteps(choices: InstallChoices): Step[] {
  const layout = layoutOf(choices);
  return [
    { type: "package", path: layout.package },
    { type: "link", path: layout.command, target: layout.program },
    ...(choices.isMultiUser ? userSteps(choices) : []),
    ...storeFolders(choices),
    ...(choices.hasService ? serviceSteps(choices, layout) : []),
  ];
}

/** Back to before. The store, its database, the logs and the build users stay: they hold what cannot be made again. */
export function uninstallSteps(choices: InstallChoices): Step[] {
  const layout = layoutOf(choices);
  const files = choices.hasService ? serviceFiles(choices, layout).map(({ path }) => path) : [];
  return [
    ...(choices.hasService && choices.isServiceManagerRunning ? stopCommands(choices, layout) : []),
    ...files.map((path): Step => ({ type: "remove", path, what: "ours" })),
    ...(files.length > 0 && choices.isServiceManagerRunning && choices.platform === "linux"
      ? [systemctl(choices, "daemon-reload")]
      : []),
    { type: "remove", path: layout.command, what: "ours" },
    { type: "remove", path: layout.package, what: "folder" },
  ];
}

/** Where a client finds the daemon of this installation. */
export function socketOf(choices: InstallChoices): string {
  return choices.settings.socket;
}

/** What stays after uninstalling. */
export function keptPlaces(choices: InstallChoices): string[] {
  const { realDirectory, database, logDirectory } = choices.settings;
  return [realDirectory, database, logDirectory];
}

interface Layout {
  readonly package: string;
  readonly program: string;
  readonly command: string;
  readonly units: string;
}

function layoutOf(choices: InstallChoices): Layout {
  const { isMultiUser, platform, env } = choices;
  const home = homeOf(env);
  const prefix = choices.prefix ?? (isMultiUser ? "/usr/local" : join(home, ".local"));
  const units = {
    linux: isMultiUser
      ? "/etc/systemd/system"
      : join(xdgDirectory(env, "XDG_CONFIG_HOME", ".config"), "systemd/user"),
    darwin: isMultiUser ? "/Library/LaunchDaemons" : join(home, "Library/LaunchAgents"),
  }[platform];
  const folder = join(prefix, "lib", "kiln");
  return {
    package: folder,
    program: join(folder, "bin", "kiln"),
    command: join(prefix, "bin", "kiln"),
    units,
  };
}

function userSteps({ platform, buildUsers }: InstallChoices): Step[] {
  if (platform !== "linux") return []; // without a sandbox builders run as the daemon's user there
  const { group, gid, count, firstUid } = buildUsers;
  const users = Array.from({ length: count }, (_, index): Step => ({
    type: "user",
    name: `${group}${index + 1}`,
    uid: firstUid + index,
    group,
  }));
  return [{ type: "group", name: group, gid }, ...users];
}

/** The store directory with zb's mode (members of the group may add, nobody removes others' files), and the daemon's folders. */
function storeFolders(choices: InstallChoices): Step[] {
  const { realDirectory, database, logDirectory, socket } = choices.settings;
  const group =
    choices.isMultiUser && choices.platform === "linux" ? choices.buildUsers.group : undefined;
  const mode = choices.isMultiUser ? 0o1775 : 0o755;
  return [
    { type: "folder", path: realDirectory, mode, ...(group === undefined ? {} : { group }) },
    ...[dirname(database), logDirectory, dirname(socket)]
      .filter((path, index, all) => all.indexOf(path) === index)
      .map((path): Step => ({ type: "folder", path, mode: 0o755 })),
  ];
}

function serviceSteps(choices: InstallChoices, layout: Layout): Step[] {
  const files = serviceFiles(choices, layout).map(({ path, content }): Step => ({
    type: "file",
    path,
    content,
    mode: 0o644,
  }));
  return [...files, ...(choices.isServiceManagerRunning ? startCommands(choices, layout) : [])];
}

function serviceFiles(
  choices: InstallChoices,
  layout: Layout,
): { path: string; content: string }[] {
  const { realDirectory, database, logDirectory, socket } = choices.settings;
  const daemon: DaemonCommand = {
    program: layout.program,
    flags: serveFlags(choices),
    socket,
    places: [realDirectory, dirname(database)],
    socketGroup: choices.socketGroup,
    isOfSystem: choices.isMultiUser,
  };
  const at = (name: string, content: string): { path: string; content: string } => ({
    path: join(layout.units, name),
    content,
  });
  return choices.platform === "linux"
    ? [
        at("kiln-serve.socket", systemdSocket(daemon)),
        at("kiln-serve.service", systemdService(daemon)),
      ]
    : [at(plist, launchdService(daemon, join(logDirectory, "kiln-serve.log")))];
}

const plist = "kiln-serve.plist";

/** What builders find of the host, who runs them, and how they are kept apart. */
function serveFlags(choices: InstallChoices): string[] {
  const { isMultiUser, platform, buildUsers, shell, hostPaths } = choices;
  const shellFlags = [`--sandbox-path=/bin/sh=${shell}`, "--implicit-system-dep=/bin/sh"];
  return [
    ...(isMultiUser ? [] : storeFlags(choices.settings)),
    ...(platform === "linux" ? [] : ["--sandbox=false"]),
    ...(shell === undefined ? hostPaths.map((path) => `--sandbox-path=${path}`) : shellFlags),
    `--build-users-group=${isMultiUser && platform === "linux" ? buildUsers.group : ""}`,
  ];
}

/** Every place is named, so that the daemon stays with this store whatever becomes of the machine. */
function storeFlags({ directory, realDirectory, database, logDirectory }: Settings): string[] {
  if (directory === realDirectory) return [`--store=${directory}`];
  return [
    `--store=${directory}`,
    `--real-store=${realDirectory}`,
    `--db=${database}`,
    `--log-directory=${logDirectory}`,
  ];
}

function startCommands(choices: InstallChoices, layout: Layout): Step[] {
  if (choices.platform === "darwin") {
    return [{ type: "run", command: ["launchctl", "load", "-w", join(layout.units, plist)] }];
  }
  return [
    systemctl(choices, "daemon-reload"),
    systemctl(choices, "enable", "kiln-serve.socket", "kiln-serve.service"),
    systemctl(choices, "restart", "kiln-serve.socket", "kiln-serve.service"),
  ];
}

function stopCommands(choices: InstallChoices, layout: Layout): Step[] {
  return choices.platform === "darwin"
    ? [{ type: "run", command: ["launchctl", "unload", "-w", join(layout.units, plist)] }]
    : [systemctl(choices, "disable", "--now", "kiln-serve.socket", "kiln-serve.service")];
}

function systemctl({ isMultiUser }: InstallChoices, ...words: string[]): Step {
  return { type: "run", command: ["systemctl", ...(isMultiUser ? [] : ["--user"]), ...words] };
}
