import { nameOf } from "../access.ts";
import type { Handler } from "../context.ts";
import { progressReporter } from "./progress.ts";

/** Removes what no root needs. */
export const kilnCollect: Handler<"kiln.collect"> = async (params, context) => {
  const { paths, olderThan, maxSize, keepFree, dryRun = false } = params;
  const { store, signal, connection, log } = context;
  const collected = await store.collect({
    only: paths,
    olderThan,
    maxSize,
    keepFree,
    dryRun,
    signal,
    onProgress: progressReporter(context),
  });
  if (!dryRun) {
    const who = nameOf(connection.caller) ?? "a client";
    log("info", `${who} collected ${collected.count} objects, ${collected.bytes} bytes`);
  }
  return collected;
};
