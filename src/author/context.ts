/** What an evaluation is given from outside. The evaluator sets it before the first build file is loaded. */
import { systemClock, type Clock } from "../util/clock.ts";
import { defaultStoreDirectory, type StoreDirectory } from "../format/store-path.ts";

/** CPU and operating system a derivation is built on. `builtin` is used by Kiln's own builders. */
export type System =
  | "x86_64-linux"
  | "aarch64-linux"
  | "x86_64-macos"
  | "aarch64-macos"
  | (string & {});

export interface Context {
  readonly storeDirectory: StoreDirectory;
  readonly system: System;
  /** The environment variables that may be read, by name. */
  readonly env: ReadonlyMap<string, string>;
  /** The names of those that are set and may not be read; one is taken out when that was said. */
  readonly forbiddenEnv: Set<string>;
  /** The project's own cache folder; undefined: nothing is kept. */
  readonly cacheDirectory: string | undefined;
  readonly clock: Clock;
  /** Absolute names of the files and folders that were read: evaluation adds to it. */
  readonly filesRead: Set<string>;
  /** Tells the user something that is no error. */
  readonly warn: (text: string) => void;
}

/** The system of this machine, as build files name it: on macOS without the vendor, which the daemon names. */
function machineSystem(): System {
  const cpu = { x64: "x86_64", arm64: "aarch64", ia32: "i686" }[process.arch as string];
  const os = { darwin: "macos", win32: "windows" }[process.platform as string];
  return `${cpu ?? process.arch}-${os ?? process.platform}`;
}

let current: Context = {
  storeDirectory: defaultStoreDirectory,
  system: machineSystem(),
  env: new Map(),
  forbiddenEnv: new Set(),
  cacheDirectory: undefined,
  clock: systemClock,
  filesRead: new Set(),
  warn: (text) => process.stderr.write(`kiln: warning: ${text}\n`),
};

/** The system that is built for: `--system`, else this machine's. */
export let currentSystem: System = current.system;

/** The context of the running evaluation. */
export function context(): Context {
  return current;
}

/** Replaces what is given; the rest stays as it was. */
export function configure(changes: Partial<Context>): void {
  current = { ...current, ...changes };
  currentSystem = current.system;
}
