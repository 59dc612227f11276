import type { StoreDirectory } from "../format/store-path.ts";
import { sortedMap } from "../format/derivation/derivation.ts";

export interface EnvironmentOptions {
  /** The build directory as the builder sees it. */
  readonly workDirectory: string;
  readonly storeDirectory: StoreDirectory;
  /** How many processors the builder may use; a hint. */
  readonly cores: number;
}

/**
 * A builder's whole environment, ordered by name: the derivation's variables, and where it does not set them those that builders
 * may rely on. Nothing of this process's own environment.
 */
export function builderEnvironment(
  env: ReadonlyMap<string, string>,
  options: EnvironmentOptions,
): Map<string, string> {
  const { workDirectory } = options;
  return sortedMap([
    ["HOME", "/home-not-set"],
    ["PATH", "/path-not-set"],
    ["PWD", workDirectory],
    ["TEMP", workDirectory],
    ["TEMPDIR", workDirectory],
    ["TERM", "xterm-256color"],
    ["TMP", workDirectory],
    ["TMPDIR", workDirectory],
    ["ZB_BUILD_CORES", String(options.cores)],
    ["ZB_BUILD_TOP", workDirectory],
    ["ZB_STORE", options.storeDirectory],
    ...env,
  ]);
}
