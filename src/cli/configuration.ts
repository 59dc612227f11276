/**
 * Configuration files: JSON with comments and trailing commas, the same that zb v0.2 reads. What stands in a later one counts more:
 *
 *     /etc/xdg/zb/config.json, config.jwcc    $XDG_CONFIG_DIRS, the first folder counting most
 *     ~/.config/zb/config.json, config.jwcc   $XDG_CONFIG_HOME
 *     $ZB_CONFIG_FILE                         a list, the first file counting most
 *     --config FILE                           in order
 *
 * In each folder `kiln/` comes after `zb/`, so that Kiln can be told something else. Flags and environment count more than all files.
 */
import { readFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { errorCode } from "../files/file-error.ts";
import type { PublicKeyMessage } from "../rpc/protocol.ts";
import type { ResourceLimits } from "../server/options.ts";
import { KilnError } from "../util/kiln-error.ts";
import { type Environment, xdgDirectory } from "./xdg.ts";

/** What the files say; absent where they say nothing. */
export interface Configuration {
  readonly debug?: boolean;
  readonly storeDirectory?: string;
  /** Absolute. */
  readonly storeSocket?: string;
  /** Of all files. */
  readonly trustedPublicKeys: readonly PublicKeyMessage[];
  /** What one build may take. */
  readonly limits?: ResourceLimits;
  /** Of all files, absolute. */
  readonly signingKeyFiles: readonly string[];
  /** Members that have no effect, as `httpCache in /etc/xdg/zb/config.json`. */
  readonly unused: readonly string[];
}

/** Where configuration comes from, the least important first; `isRequired` when the file was named by a flag. */
export interface ConfigurationFile {
  readonly path: string;
  readonly isRequired: boolean;
}

/** Members that mean something. */
export const configurationMembers: readonly string[] = [
  "debug",
  "storeDirectory",
  "storeSocket",
  "trustedPublicKeys",
  "server.limits",
  "server.signingKeyFiles",
];

export const noConfiguration: Configuration = {
  trustedPublicKeys: [],
  signingKeyFiles: [],
  unused: [],
};

/** Where configuration may be; `named` are the files of `--config`. */
export function configurationFiles(
  env: Environment,
  named: readonly string[],
): ConfigurationFile[] {
  const system = (env["XDG_CONFIG_DIRS"] || "/etc/xdg").split(delimiter).toReversed();
  const folders = [...system, xdgDirectory(env, "XDG_CONFIG_HOME", ".config")];
  const standard = folders
    .filter((folder) => folder.startsWith("/"))
    .flatMap((folder) => ["zb", "kiln"].map((name) => join(folder, name)))
    .flatMap((folder) => ["config.json", "config.jwcc"].map((name) => join(folder, name)));
  const listed = (env["ZB_CONFIG_FILE"] ?? "")
    .split(delimiter)
    .filter((path) => path !== "")
    .toReversed();
  return [
    ...[...standard, ...listed].map((path) => ({ path: resolve(path), isRequired: false })),
    ...named.map((path) => ({ path: resolve(path), isRequired: true })),
  ];
}

/**
 * Reads the files that are there.
 *
 * @throws KilnError `config.syntax`, `config.value` with the place; `config.missing` for a required file; `file.…`
 */
export async function loadConfiguration(
  files: readonly ConfigurationFile[],
): Promise<Configuration> {
  let configuration = noConfiguration;
  for (const file of files) {
    const text = read(file);
    if (text === undefined) continue;
    // Most runs of most commands find no file, and need no parser.
    const { parseConfiguration } = await import("./configuration-file.ts");
    configuration = merge(configuration, parseConfiguration(text, file.path));
  }
  return configuration;
}

function merge(before: Configuration, after: Configuration): Configuration {
  const keys = [...before.trustedPublicKeys, ...after.trustedPublicKeys];
  return {
    ...before,
    ...after,
    ...(after.limits === undefined ? {} : { limits: { ...before.limits, ...after.limits } }),
    trustedPublicKeys: [...new Map(keys.map((key) => [key.publicKey, key])).values()],
    signingKeyFiles: [...new Set([...before.signingKeyFiles, ...after.signingKeyFiles])],
    unused: [...before.unused, ...after.unused],
  };
}

function read({ path, isRequired }: ConfigurationFile): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = errorCode(error);
    if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
    if (!isRequired) return undefined;
    throw new KilnError("config.missing", `there is no configuration file ${path}`, {
      path,
      hint: "name one that is there; without --config the usual places are read",
    });
  }
}
