/** Host paths for builders, from the flags of `kiln serve`. */
import { posix } from "node:path";
import type { SandboxPath } from "../server/options.ts";
import { KilnError } from "../util/kiln-error.ts";

/**
 * `--sandbox-path "INSIDE[=HOST] …"` (each may hold several, apart by blanks) and `--implicit-system-dep PATH`, which every builder
 * gets and which alone means the same path of the host.
 *
 * @throws KilnError `usage.value` for a path that is not absolute
 */
export function sandboxPaths(
  offered: readonly string[],
  implicit: readonly string[],
): Map<string, SandboxPath> {
  const paths = new Map<string, SandboxPath>();
  for (const text of offered.flatMap((flag) => flag.split(/\s+/)).filter((word) => word !== "")) {
    const equals = text.indexOf("=");
    const inside = absolute("--sandbox-path", equals < 0 ? text : text.slice(0, equals));
    const path = equals < 0 ? undefined : absolute("--sandbox-path", text.slice(equals + 1));
    paths.set(inside, path === undefined ? {} : { path });
  }
  for (const text of implicit) {
    const inside = absolute("--implicit-system-dep", text);
    paths.set(inside, { ...paths.get(inside), alwaysPresent: true });
  }
  return paths;
}

function absolute(flag: string, text: string): string {
  if (!posix.isAbsolute(text)) {
    throw new KilnError("usage.value", `flag ${flag}: "${text}" is not absolute`);
  }
  const clean = posix.normalize(text);
  return clean === "/" ? clean : clean.replace(/\/$/, "");
}
