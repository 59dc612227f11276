/** What a server can be told. Everything but the two places has a default. */
import type { BuildUser } from "../build/executor.ts";
import type { BuildLimits } from "../build/limited-executor.ts";
import type { SandboxLimits } from "../build/sandbox/limits.ts";
import type { MachoBufferCreator as ContentAddressBufferCreator } from "../format/references/self-references.ts";
import type { SigningKey } from "../format/signature.ts";
import { KilnError } from "../util/kiln-error.ts";

export type { BuildUser, ContentAddressBufferCreator };

/** The conventional Unix group whose members run builders. */
export const DEFAULT_BUILD_USERS_GROUP = "zbld";

/** A path of the host that builders may see. */
export interface SandboxPath {
  /** Where it is on the host; default: the path it has inside. */
  readonly path?: string;
  /** Offered to every builder; default false: only to those that name it in `__buildSystemDeps`. */
  readonly alwaysPresent?: boolean;
}

/**
 * Whether builders are isolated from this machine:
 *
 * - `true`: all of them; where that is impossible the server does not open
 * - `relaxed`: all but those whose derivation has `__noChroot=1` in its environment
 * - `auto`: where it is possible
 * - `false`: none
 */
export type SandboxMode = "true" | "relaxed" | "auto" | "false";

/** What one build may take. Memory and processes are limited in sandboxes only. */
export type ResourceLimits = BuildLimits & Omit<SandboxLimits, "fileSize">;

/** What a build is run under, chosen by {@link ServerOptions.buildContext}. */
export interface BuildScope {
  /** Ends the build when it aborts; default: only who asked for the build, or the server's end, ends it. */
  readonly signal?: AbortSignal;
  /** Goes with all that the server's log says about the build: who asked for it, a trace it belongs to. Default: nothing. */
  readonly logFields?: LogFields;
}

/** How much a line of the log matters. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** What a line of the log is about, for logs that are searched by machines. */
export type LogFields = Readonly<Record<string, string | number | boolean>>;

/** Takes a line of the server's log. `fields` are those of the build's {@link BuildScope}. */
export type Log = (level: LogLevel, text: string, fields?: LogFields) => void;

/** What `Server.open` is told; all but the two places may be left out. */
export interface ServerOptions {
  /** The store directory as it stands in every path, absolute. */
  readonly directory: string;
  /** The database file; it and its folder are made when they are missing. */
  readonly database: string;
  /** Where the objects are on this machine; default: the store directory itself. Builders cannot run without isolation when it differs. */
  readonly realStoreDirectory?: string | undefined;
  /** Parent of the builders' temporary directories; default: the machine's. */
  readonly buildDirectory?: string | undefined;
  /** Builders' logs; default: `log` beside the database. */
  readonly logDirectory?: string | undefined;
  /** Temporary storage for the analysis of Mach-O files; default: memory, at most 1 GiB for each. */
  readonly contentAddressBuffers?: ContentAddressBufferCreator | undefined;
  /**
   * Connections to the database; without effect, and here so that options written for zb's server can be taken over. The server
   * has one, and holds it across no wait: builds and readers of logs never keep others from it.
   */
  readonly databasePoolSize?: number | undefined;
  /** Whether a request may ask to keep the directories of failed builders; default false. */
  readonly allowKeepFailed?: boolean | undefined;
  /** Whether builders are isolated; default `auto`. */
  readonly sandbox?: SandboxMode | undefined;
  /** The same as `sandbox: "false"`, and stronger than it; default false. */
  readonly disableSandbox?: boolean | undefined;
  /** What one build may take; default: no limits. */
  readonly limits?: ResourceLimits | undefined;
  /** Host paths for builders, by the path inside; default none. */
  readonly sandboxPaths?: ReadonlyMap<string, SandboxPath> | undefined;
  /** A hint to builders; default, and for 0 or less: the number of CPUs. */
  readonly coresPerBuild?: number | undefined;
  /** Builders at the same time in the whole server; default: the number of CPUs. */
  readonly jobs?: number | undefined;
  /** Who runs builders, one of them each; default: the server's own user runs all. */
  readonly buildUsers?: readonly BuildUser[] | undefined;
  /** Each of them signs what new builds make of their derivations; default none. */
  readonly signingKeys?: readonly SigningKey[] | undefined;
  /** Called for each new build. */
  readonly buildContext?: ((buildID: string) => BuildScope) | undefined;
  /** How long builds and their logs are kept after their end, in milliseconds; default, and for 0 or less: for ever. */
  readonly buildLogRetention?: number | undefined;
  /** What an acknowledged object survives: a power failure, or only the end of the process; default `power`. */
  readonly durability?: "power" | "process" | undefined;
  /** How the server is run; shown to those who watch builds. Default `embedded`. */
  readonly mode?: "daemon" | "embedded" | undefined;
  /** Number of a group whose members may do everything, as root and the server's own user may; default none. */
  readonly trustedGroup?: number | undefined;
  /** Wait for another process that has the store open, instead of failing with `store.locked`. */
  readonly waitForLock?: WaitForLock | undefined;
  /** Where the server says what it does; default: nowhere. */
  readonly log?: Log | undefined;
}

/** How to wait for a store that is in use. */
export interface WaitForLock {
  readonly signal?: AbortSignal;
  /** Called when the waiting begins, with the process that has the store, if it is known. */
  readonly onWait?: (pid: number | undefined) => void;
}

/** What `sandbox` and `disableSandbox` come to. */
export function sandboxModeOf({ sandbox, disableSandbox }: ServerOptions): SandboxMode {
  return disableSandbox === true ? "false" : (sandbox ?? "auto");
}

/** @throws KilnError `users.duplicate` when two of them have the same user id: they would not be apart */
export function checkBuildUsers(users: readonly BuildUser[]): void {
  const seen = new Set<number>();
  for (const { uid } of users) {
    if (seen.has(uid))
      throw new KilnError("users.duplicate", `two build users have the uid ${uid}`);
    seen.add(uid);
  }
}

/** A build user's text form: `uid:gid`. */
export function formatBuildUser(user: BuildUser): string {
  return `${user.uid}:${user.gid}`;
}

/** @throws KilnError `users.invalid` */
export function parseBuildUser(text: string): BuildUser {
  const match = /^(\d{1,10}):(\d{1,10})$/.exec(text);
  const [uid, gid] = [Number(match?.[1]), Number(match?.[2])];
  // The last number of 32 bits means "no one" to the system.
  if (match === null || uid >= 0xffff_ffff || gid >= 0xffff_ffff) {
    throw new KilnError("users.invalid", `"${text}" is no build user: wanted uid:gid`);
  }
  return { uid, gid };
}
