import { readFileSync } from "node:fs";

/** How many descriptors this process may have open; undefined where the system does not tell. */
export function descriptorLimit(file = "/proc/self/limits"): number | undefined {
  try {
    const limit = /^Max open files +(\d+)/m.exec(readFileSync(file, "utf8"))?.[1];
    return limit === undefined ? undefined : Number(limit);
  } catch {
    return undefined;
  }
}
