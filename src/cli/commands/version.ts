import { say } from "../context.ts";
import { versionLines, versionReport } from "../version.ts";

export interface VersionFlags {
  readonly json?: boolean;
}

export async function version(_operands: readonly string[], flags: VersionFlags): Promise<void> {
  const report = versionReport();
  if (flags.json === true) say(JSON.stringify(report));
  else for (const line of versionLines(report)) say(line);
}
