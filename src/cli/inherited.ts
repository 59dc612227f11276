/** Descriptors that whoever started us left open: a builder would get them, too. */
import { closeSync, readdirSync, readFileSync } from "node:fs";

/** O_CLOEXEC in /proc's octal flags (Linux). */
const closeOnExec = 0o2000000;

/**
 * Closes what this process inherited beyond the three standard streams and `keep`. Node opens everything of its own with
 * close-on-exec; what lacks it came from outside.
 */
export function closeInherited(keep: readonly number[] = []): void {
  if (process.platform !== "linux") return;
  const channel = Number(process.env["NODE_CHANNEL_FD"] ?? -1);
  for (const name of readdirSync("/proc/self/fd")) {
    const descriptor = Number(name);
    if (descriptor <= 2 || descriptor === channel || keep.includes(descriptor)) continue;
    try {
      const info = readFileSync(`/proc/self/fdinfo/${name}`, "utf8");
      const flags = Number.parseInt(/^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? "", 8);
      if (!Number.isNaN(flags) && (flags & closeOnExec) === 0) closeSync(descriptor);
    } catch {
      // The descriptor of the directory listing itself, closed by now.
    }
  }
}
