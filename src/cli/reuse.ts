import type { ReuseMessage } from "../rpc/protocol.ts";
import type { Settings } from "./settings.ts";

/**
 * Which earlier realisations a build may use: none when it is to be clean, those of trusted keys where such are configured, else
 * all. It is always said: for zb v0.2 silence means a clean build.
 */
export function reuseWish(settings: Settings, clean: boolean = false): ReuseMessage | null {
  if (clean) return null;
  const publicKeys = settings.trustedPublicKeys;
  return publicKeys.length > 0 ? { publicKeys } : { all: true };
}
