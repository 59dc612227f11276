/** `kiln serve`: the daemon. */
import { execFile } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { makeFolders } from "../../files/make-folders.ts";
import { StoreClient } from "../../rpc/client.ts";
import type { BuildUser, SandboxMode, ServerOptions } from "../../server/options.ts";
import { DEFAULT_BUILD_USERS_GROUP } from "../../server/options.ts";
import { probeSocket, type PassedSocket, type SocketPlace } from "../../server/listener.ts";
import { watchDisk } from "../../server/disk-watch.ts";
import { Server } from "../../server/server.ts";
import { spareMemory } from "../../server/spare-memory.ts";
import type { Durability } from "../../store/database/open.ts";
import { requireStoreFolder } from "../../store/store-folder.ts";
import type { SigningKey } from "../../format/signature.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { findGroup, type Group, usersOf } from "../../util/unix-accounts.ts";
import { closeInheritedDescriptors } from "../../util/inherited-descriptors.ts";
import type { WebServer } from "../../web/http-server.ts";
import type { CommandContext } from "../context.ts";
import { storeMeant } from "../own-store.ts";
import { sandboxPaths } from "../sandbox-paths.ts";
import { type LimitFlags, limitsFrom } from "../limits.ts";
import { jsonLogLine, type LogFormat, logLine, type ServeLog } from "../serve-log.ts";
import { readSigningKey } from "../signing-keys.ts";
import { type Environment, type GlobalFlags, type Settings, settingsFrom } from "../settings.ts";

export interface ServeFlags extends LimitFlags {
  readonly adminSocket?: string;
  readonly allowKeepFailed?: boolean;
  readonly allowRemoteUi?: boolean;
  readonly buildLogRetention?: number;
  readonly buildRoot?: string;
  readonly buildUsersGroup?: string;
  readonly coresPerBuild?: number;
  readonly db?: string;
  readonly durability?: Durability;
  readonly implicitSystemDep?: readonly string[];
  readonly jobs?: number;
  readonly keepFree?: number;
  readonly logDirectory?: string;
  readonly logFormat?: LogFormat;
  readonly readOnlySocket?: string;
  readonly realStore?: string;
  readonly sandbox?: SandboxMode;
  readonly sandboxPath?: readonly string[];
  readonly signingKey?: readonly string[];
  readonly socketGroup?: string;
  readonly socketMode?: number;
  readonly systemd?: boolean;
  readonly systemdSocket?: boolean;
  readonly trustedGroup?: string;
  /** True: at the usual address. */
  readonly ui?: string | true;
  readonly uiHost?: readonly string[];
  /** True: at the usual place. */
  readonly uiTokenFile?: string | true;
}

/** Milliseconds that belong to those who have waited for the daemon to come. */
const firstAnswers = 30;

/** zb's: a week. */
const defaultRetention = 168 * 3_600_000;

export async function serve(
  _operands: readonly string[],
  flags: ServeFlags & GlobalFlags,
  context: CommandContext,
): Promise<number> {
  const named = settingsFrom(flags, context.env);
  const printed = flags.logFormat === "json" ? jsonLogLine : logLine;
  const log: ServeLog = (level, text, fields) => {
    if (level === "debug" && !named.debug) return;
    process.stderr.write(printed(new Date(), level, text, fields));
  };
  const settings = await storeMeant(named, context.env, { ...flags, create: true });
  if (settings !== named) {
    log("info", `the store is in ${settings.realDirectory}: ${named.directory} cannot be written`);
  }
  const passed =
    flags.systemd === true || flags.systemdSocket === true ? passedSocket(context.env) : undefined;
  closeInheritedDescriptors(passed === undefined ? [] : [passed.fd]);
  // Nothing that it makes is for others to change, however careless whoever started it was.
  process.umask(process.umask() | 0o022);
  const { group, users } = await buildUsers(flags.buildUsersGroup, flags.sandbox === "false", log);
  const place = passed ?? (await socketPlace(settings, flags));
  const trustedGroup = await groupNumber("--trusted-group", flags.trustedGroup);
  const options = { ...serverOptions(settings, flags, users), trustedGroup };
  makeServingFolders(settings, options, passed === undefined, group);
  if (!("fd" in place)) await refuseLivingDaemon(place);

  // A signal may come while the store is being opened: then the daemon ends as soon as it can.
  const stopped = Promise.withResolvers<string>();
  using _handling = context.interrupts.handle((signal) => stopped.resolve(signal));
  await using server = await Server.open({ ...options, log });
  // What keeps the page from being served is found before anybody is told that the daemon listens.
  await using page = await openPage(server, flags, options, log);
  await server.listen(place);
  await listenElsewhere(server, flags);
  log("info", `Listening on ${"fd" in place ? "the socket of systemd" : place.path}`);
  sayIsolation(server.hello().isolation ?? "auto", log);
  if (!("fd" in place)) sayWhoMayConnect(flags, log);
  await notifySystemd(context.env);
  // Who waited for the daemon gets an answer first.
  const preparing = setTimeout(() => server.store.prepare(), firstAnswers);
  using _memory = spareMemory();
  drainOnUserSignal(server, stopped.resolve, log);
  using _watch = watchDisk(server.store, flags.keepFree ?? 0, log);

  const why = await stopped.promise;
  clearTimeout(preparing);
  log("info", `Shutting down (${why} received)...`);
  await page?.close();
  await server.close();
  return 0;
}

/** The page is loaded only where it is wanted: a daemon without one starts in half the time. */
async function openPage(
  server: Server,
  flags: ServeFlags,
  { buildLogRetention, database }: ServerOptions,
  log: ServeLog,
): Promise<WebServer | undefined> {
  const { ui, uiHost, uiTokenFile, allowRemoteUi } = flags;
  if (ui === undefined || ui === "") return undefined;
  const { openWeb } = await import("../web.ts");
  return await openWeb(server, {
    address: ui === true ? undefined : ui,
    hostNames: uiHost,
    tokenFile: uiTokenFile === true ? join(dirname(database), "ui-token") : uiTokenFile,
    allowRemote: allowRemoteUi,
    retention: buildLogRetention,
    mode: "daemon",
    log,
  });
}

function sayIsolation(isolation: string, log: ServeLog): void {
  if (isolation === "auto")
    return log("info", "builders are isolated where this machine allows it");
  if (!isolation.startsWith("none")) return log("info", `builders are isolated: ${isolation}`);
  const why = isolation.slice("none: ".length);
  log(
    "warn",
    `builders are not isolated (${why}): they see this machine as the daemon's user does`,
  );
}

/** systemd's socket: `LISTEN_PID` names us, `LISTEN_FDS` counts; descriptors begin at 3. */
export function passedSocket(env: Environment, pid: number = process.pid): PassedSocket {
  const count = env["LISTEN_PID"] === String(pid) ? Number(env["LISTEN_FDS"] ?? 0) : 0;
  if (count !== 1) {
    throw new KilnError("socket.systemd", `systemd passed in ${count} sockets (want 1)`);
  }
  return { fd: 3 };
}

/**
 * Who runs builders. The conventional group is used by root where it exists; a group that was named has to exist.
 */
async function buildUsers(
  named: string | undefined,
  isUnisolated: boolean,
  log: ServeLog,
): Promise<{ group: Group | undefined; users: BuildUser[] }> {
  const isRoot = process.geteuid?.() === 0;
  const name = named ?? (isRoot ? DEFAULT_BUILD_USERS_GROUP : "");
  if (name === "") return { group: undefined, users: [] };
  const group = await findGroup(name);
  if (group === undefined) {
    if (named !== undefined) {
      throw new KilnError("group.unknown", `group: unknown group ${name}`, {
        hint: "--build-users-group= runs builders as the daemon's own user",
      });
    }
    if (isUnisolated) log("warn", `group: unknown group ${name}: builders run as root`);
    return { group: undefined, users: [] };
  }
  const users = (await usersOf(group)).map(({ uid }) => ({ uid, gid: group.gid }));
  if (users.length === 0) {
    throw new KilnError("group.empty", `group ${name} has no users to run builders`);
  }
  if (!isRoot) {
    throw new KilnError("group.denied", "only root can run builders as other users", {
      hint: "--build-users-group=",
    });
  }
  return { group, users };
}

async function socketPlace(settings: Settings, flags: ServeFlags): Promise<SocketPlace> {
  const { socketMode: mode, socketGroup } = flags;
  const group = await groupNumber("--socket-group", socketGroup);
  return {
    path: settings.socket,
    ...(mode === undefined ? {} : { mode }),
    ...(group === undefined ? {} : { group }),
  };
}

async function groupNumber(flag: string, name: string | undefined): Promise<number | undefined> {
  if (name === undefined || name === "") return undefined;
  const group = await findGroup(name);
  if (group !== undefined) return group.gid;
  throw new KilnError("group.unknown", `${flag}: unknown group ${name}`);
}

/** The sockets for administrators (who needs no other proof than to get in) and for those who only look. */
async function listenElsewhere(server: Server, flags: ServeFlags): Promise<void> {
  const { adminSocket, readOnlySocket } = flags;
  for (const [path, door, mode] of [
    [adminSocket, "administrators", 0o600],
    [readOnlySocket, "readers", 0o666],
  ] as const) {
    if (path === undefined || path === "") continue;
    const place = resolve(path);
    makeFolders(dirname(place), 0o755);
    await server.listen({ path: place, mode }, { door });
  }
}

function serverOptions(
  settings: Settings,
  flags: ServeFlags & GlobalFlags,
  users: readonly BuildUser[],
): ServerOptions {
  return {
    mode: "daemon",
    directory: settings.directory,
    database: flags.db ?? settings.database,
    logDirectory: flags.logDirectory ?? settings.logDirectory,
    realStoreDirectory: flags.realStore ?? settings.realDirectory,
    buildDirectory: flags.buildRoot,
    buildUsers: users,
    allowKeepFailed: flags.allowKeepFailed ?? true,
    durability: flags.durability,
    sandbox: flags.sandbox ?? "true",
    limits: limitsFrom(flags, flags.configuration?.limits),
    signingKeys: signingKeys(flags),
    sandboxPaths: sandboxPaths(flags.sandboxPath ?? [], flags.implicitSystemDep ?? []),
    coresPerBuild: flags.coresPerBuild,
    jobs: flags.jobs,
    buildLogRetention: flags.buildLogRetention ?? defaultRetention,
    buildContext: (buildID) => ({ logFields: { buildID } }),
  };
}

/** Those of the configuration and those of the flags. */
function signingKeys({ configuration, signingKey = [] }: ServeFlags & GlobalFlags): SigningKey[] {
  const files = [
    ...(configuration?.signingKeyFiles ?? []),
    ...signingKey.map((name) => resolve(name)),
  ];
  return [...new Set(files)].map(readSigningKey);
}

/** The store directory (1775, for the build users' group when it is new) and the folders of socket and database (0755). */
function makeServingFolders(
  settings: Settings,
  options: ServerOptions,
  ownSocket: boolean,
  group: Group | undefined,
): void {
  const store = options.realStoreDirectory ?? settings.realDirectory;
  requireStoreFolder(store);
  makeFolders(dirname(store), 0o755);
  if (statSync(store, { throwIfNoEntry: false }) === undefined) {
    mkdirSync(store);
    if (group !== undefined) chownSync(store, -1, group.gid);
    chmodSync(store, 0o1775);
  }
  makeFolders(dirname(options.database), 0o755);
  if (options.buildDirectory !== undefined) makeFolders(options.buildDirectory, 0o755);
  if (ownSocket) makeFolders(dirname(settings.socket), 0o755);
}

/** Before the store is touched: whoever runs already is named by its socket. */
async function refuseLivingDaemon(place: SocketPlace): Promise<void> {
  if ((await probeSocket(place.path)) !== "answers") return;
  const pid = await processAt(place.path);
  const who = pid === undefined ? "another daemon" : `process ${pid}, a daemon or kiln ui,`;
  throw new KilnError("socket.inUse", `${who} listens at ${place.path}`, {
    path: place.path,
    hint: "stop it first, or give another --store-socket",
  });
}

/** The process that answers there, if it is Kiln's and says so in time. */
async function processAt(socket: string): Promise<number | undefined> {
  try {
    await using client = await StoreClient.connect(socket);
    const late = delay(1000, undefined, { ref: false });
    return (await Promise.race([client.hello(), late]))?.pid;
  } catch {
    return undefined;
  }
}

function sayWhoMayConnect(flags: ServeFlags, log: ServeLog): void {
  const mode = flags.socketMode ?? 0o660;
  if (process.geteuid?.() !== 0 || flags.socketGroup !== undefined || (mode & 0o006) !== 0) return;
  log(
    "info",
    "only root can connect: --socket-group GROUP lets others in (zb's clients would wait for ever)",
  );
}

async function notifySystemd(env: Environment): Promise<void> {
  if ((env["NOTIFY_SOCKET"] ?? "") === "") return;
  await promisify(execFile)("systemd-notify", ["--ready"]).catch(() => {});
}

/** SIGUSR2, as with zb v0.2: no new builds; when the running ones have ended, the daemon does. */
function drainOnUserSignal(server: Server, stop: (why: string) => void, log: ServeLog): void {
  let isDraining = false;
  process.on("SIGUSR2", () => {
    if (isDraining) return;
    isDraining = true;
    log("info", "Draining (SIGUSR2 received): no new builds");
    void server.drain({ patience: 10_000 }).then(() => stop("the end of the last build"));
  });
}
