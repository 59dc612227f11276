/** Logs to be read, for tests. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { temporaryDirectory } from "../util/temp.ts";
import { BuildLog } from "./build-log.ts";
import { LogLines } from "./log-lines.ts";

/** Runs `use` with a log of `text`, as a builder's is written. */
export async function withLog<T>(
  text: string | Uint8Array,
  use: (log: LogLines, path: string) => Promise<T>,
): Promise<T> {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-log-");
  const path = join(folder.path, "a.txt");
  using written = new BuildLog(path);
  written.write(Buffer.from(text));
  written.finish();
  await using log = await LogLines.open(path);
  return await use(log, path);
}

export const numbered: readonly string[] = Array.from({ length: 3500 }, (_, i) => `line ${i + 1}`);
