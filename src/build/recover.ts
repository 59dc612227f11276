/** Puts an end to the builds that were under way when a daemon died. */
import { existsSync, statSync } from "node:fs";
import { removeTree } from "../files/remove-tree.ts";
import type { StorePath } from "../format/store-path.ts";
import type { ResultRow } from "../store/database/builds.ts";
import { KilnError } from "../util/kiln-error.ts";
import { appendToLog, logPath } from "./build-log.ts";
import { resultStateOf } from "./events.ts";
import { outputPaths } from "./expansion.ts";
import { endProcesses } from "./process-tree.ts";
import { worstOf } from "./summary.ts";
import type { Workshop } from "./workshop.ts";

const message = "the daemon stopped during this build";

/** A derivation whose builder may still run. */
export interface Leftover {
  readonly drvPath: StorePath;
  readonly directory: string;
}

/** Ends them in the database and in their logs. What they may have left is the result. */
export function closeInterruptedBuilds(shop: Workshop): Leftover[] {
  const { table, store, clock } = shop;
  const leftovers: Leftover[] = [];
  for (const build of table.underWay()) {
    const now = clock.now();
    const results = table.results(build.id);
    const ended = results.map((result) =>
      isOpen(result) ? stopped(withLogEnded(shop, build.id, result), now) : result,
    );
    for (const result of results) {
      // What is built is written down before its directory is removed.
      if (!isOpen(result) && result.state !== "built") continue;
      if (result.buildDirectory !== undefined) {
        leftovers.push({ drvPath: result.drvPath, directory: result.buildDirectory });
      }
    }
    const worst = worstOf(ended.map((result) => resultStateOf(result.state)));
    const state = worst === "error" || worst === "failed" ? worst : "interrupted";
    store.database.lightly(() => {
      for (const result of ended) table.saveResult(build.id, result);
      table.saveBuild({ ...build, state, endedAt: now, failure: build.failure ?? message });
    });
  }
  return leftovers;
}

/** Ends processes that the daemon's death has left running, and removes what they worked on. */
export async function removeLeftovers(
  leftovers: readonly Leftover[],
  shop: Workshop,
): Promise<void> {
  for (const { drvPath, directory } of leftovers) {
    try {
      await endProcesses({ leader: undefined, directory });
      await removeTree(directory);
      await removeUnfinishedOutputs(drvPath, shop);
    } catch (error) {
      shop.log("warn", `cleaning up after ${drvPath}: ${KilnError.from(error).message}`);
    }
  }
}

/** The store has removed what lay at these paths when it was opened, but a builder may have gone on after that. */
async function removeUnfinishedOutputs(
  drvPath: StorePath,
  { store, reader }: Workshop,
): Promise<void> {
  if (!store.has(drvPath)) return;
  const paths = [...outputPaths(drvPath, reader.readNow(drvPath)).values()];
  const unfinished = paths.filter((path) => !store.has(path) && existsSync(store.realPath(path)));
  if (unfinished.length === 0) return;
  // What is claimed goes, now and when the claim is given up.
  await using _claimed = await store.claim(unfinished);
}

function isOpen({ state }: ResultRow): boolean {
  return state === "waiting" || state === "running" || state === "substituting";
}

/** What is on record may be what was going to happen next. */
function stopped(result: ResultRow, now: number): ResultRow {
  const { state, buildDirectory = "" } = result;
  if (state === "waiting" && !existsSync(buildDirectory)) {
    return { ...result, state: "skipped", endedAt: now };
  }
  const failure = { kind: "internal", code: "build.interrupted", message } as const;
  return { ...result, state: "interrupted", endedAt: now, failure };
}

/** Says in the log how it ended. How much of it there is was on record only when the builder began. */
function withLogEnded(
  { logDirectory, log }: Workshop,
  buildID: string,
  result: ResultRow,
): ResultRow {
  try {
    const path = logPath(logDirectory, buildID, result.drvPath);
    if (!existsSync(path)) return result;
    appendToLog(path, `*** Build failed: ${message}`);
    return { ...result, logSize: statSync(path).size };
  } catch (error) {
    log("warn", KilnError.from(error).message);
    return result;
  }
}
