/**
 * Where things lie: what the flags and the environment say, and the places that follow from the store directory.
 *
 * For `/opt/zb/store` they are zb's own; for any other directory everything lies below its parent, in `var/kiln`.
 */
import { accessSync, constants, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import {
  defaultStoreDirectory,
  parseStoreDirectory,
  type StoreDirectory,
} from "../format/store-path.ts";
import type { PublicKeyMessage } from "../rpc/protocol.ts";
import { KilnError } from "../util/kiln-error.ts";
import { type Configuration, noConfiguration } from "./configuration.ts";
import { type Environment, xdgDirectory } from "./xdg.ts";

export type { Environment };

/** Flags that every command takes. */
export interface GlobalFlags {
  readonly store?: string;
  readonly storeSocket?: string;
  readonly cache?: string;
  readonly debug?: boolean;
  readonly config?: readonly string[];
  /** What the configuration files say, after they were read. */
  readonly configuration?: Configuration;
}

export interface Places {
  readonly database: string;
  readonly logDirectory: string;
  readonly socket: string;
}

export interface Settings extends Places {
  readonly directory: StoreDirectory;
  /** Where its objects lie on this machine: the store directory itself, but for a plain user's {@link mappedStore}. */
  readonly realDirectory: string;
  /** What named the store directory, for messages: `--store`, `ZB_STORE_DIR`, the configuration, or undefined for the default. */
  readonly directoryFrom: string | undefined;
  /** What named the socket: `--store-socket`, `ZB_STORE_SOCKET`, the configuration, or undefined for the default. */
  readonly socketFrom: string | undefined;
  /** Kiln's folder below the XDG cache directory, or what --cache says. */
  readonly cacheDirectory: string;
  readonly debug: boolean;
  /** Whose signatures a realisation must have one of to be used; none: any may be used. */
  readonly trustedPublicKeys: readonly PublicKeyMessage[];
}

/** The places that belong to a store directory when nobody names others. */
export function placesOf(directory: string): Places {
  if (directory === defaultStoreDirectory) {
    return {
      database: "/opt/zb/var/zb/db.sqlite",
      logDirectory: "/opt/zb/var/log/zb",
      socket: "/opt/zb/var/zb/server.sock",
    };
  }
  const home = join(dirname(directory), "var", "kiln");
  return {
    database: join(home, "db.sqlite"),
    logDirectory: join(home, "log"),
    socket: join(home, "server.sock"),
  };
}

/** Flags before environment before configuration files before defaults. Throws `usage.value` when the store directory is none. */
export function settingsFrom(flags: GlobalFlags, env: Environment): Settings {
  const { configuration = noConfiguration } = flags;
  const [directory, directoryFrom] = firstOf(
    [flags.store, "--store"],
    [nonEmpty(env["ZB_STORE_DIR"]), "ZB_STORE_DIR"],
    [configuration.storeDirectory, "the configuration"],
  ) ?? [defaultStoreDirectory, undefined];
  const parsed = storeDirectory(directory, directoryFrom);
  const places = placesOf(parsed);
  const [socket, socketFrom] = firstOf(
    [flags.storeSocket, "--store-socket"],
    [nonEmpty(env["ZB_STORE_SOCKET"]), "ZB_STORE_SOCKET"],
    [configuration.storeSocket, "the configuration"],
  ) ?? [places.socket, undefined];
  if (socket === "") throw new KilnError("usage.value", "--store-socket is empty");
  return {
    ...places,
    directory: parsed,
    realDirectory: parsed,
    directoryFrom,
    socket: socketFrom === undefined ? socket : resolve(socket),
    socketFrom,
    cacheDirectory: flags.cache ?? join(xdgDirectory(env, "XDG_CACHE_HOME", ".cache"), "kiln"),
    debug: flags.debug ?? configuration.debug ?? false,
    trustedPublicKeys: configuration.trustedPublicKeys,
  };
}

function firstOf(
  ...sources: readonly (readonly [string | undefined, string])[]
): [string, string] | undefined {
  for (const [value, name] of sources) if (value !== undefined) return [value, name];
  return undefined;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function storeDirectory(text: string, from: string | undefined): StoreDirectory {
  try {
    return parseStoreDirectory(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new KilnError("usage.value", `${from ?? "the store directory"}: ${why}`, {
      hint: "an absolute path, as in /opt/zb/store",
      cause: error,
    });
  }
}

/** The store of a user who may not write to the standard one. */
export function ownStoreDirectory(env: Environment): StoreDirectory {
  return parseStoreDirectory(
    join(xdgDirectory(env, "XDG_DATA_HOME", ".local/share"), "kiln", "store"),
  );
}

/**
 * The store of such a user with the standard store directory in its paths, as everybody has it: the objects lie below the XDG data
 * directory, and builders, who are always in sandboxes then, find them at {@link defaultStoreDirectory}.
 */
export function mappedStore(settings: Settings, env: Environment): Settings {
  const home = xdgDirectory(env, "XDG_DATA_HOME", ".local/share");
  const realDirectory = join(home, "kiln", defaultStoreDirectory);
  const moved = withDirectory(settings, parseStoreDirectory(realDirectory));
  return { ...moved, directory: defaultStoreDirectory, realDirectory };
}

/** The same settings for another store directory: what nobody named moves along. */
export function withDirectory(settings: Settings, directory: StoreDirectory): Settings {
  const places = placesOf(directory);
  return {
    ...settings,
    ...places,
    directory,
    realDirectory: directory,
    socket: settings.socketFrom === undefined ? places.socket : settings.socket,
  };
}

/** Whether a directory (and what lies in it) can be written, or made where it is missing. */
export function usable(directory: string): boolean {
  for (let path = directory; ; path = dirname(path)) {
    try {
      if (!statSync(path).isDirectory()) return false;
      accessSync(path, constants.W_OK | constants.X_OK);
      return true;
    } catch (error) {
      if (!isMissing(error) || dirname(path) === path) return false;
    }
  }
}

/**
 * Checks that a store's folders can be written, or made.
 *
 * @throws KilnError `store.directory`
 */
export function requireUsable(...folders: readonly string[]): void {
  const blocked = folders.find((folder) => !usable(folder));
  if (blocked === undefined) return;
  throw new KilnError("store.directory", `no store can be at ${blocked}: ${obstacle(blocked)}`, {
    path: blocked,
    hint: "--store names a directory that you can write to, or that can be made",
  });
}

/** What keeps an unusable path from being used: the nearest thing that is there. */
function obstacle(path: string): string {
  for (let at = path; ; at = dirname(at)) {
    try {
      return statSync(at).isDirectory() ? `${at} cannot be written` : `${at} is no directory`;
    } catch {
      if (dirname(at) === at) return "it cannot be reached";
    }
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
