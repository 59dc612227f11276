/** Forgetting builds that ended long ago, with their logs. */
import { rm } from "node:fs/promises";
import { KilnError } from "../util/kiln-error.ts";
import { logFolder } from "./build-log.ts";
import type { Workshop } from "./workshop.ts";

/** The longest time between two looks, in milliseconds. */
const interval = 5 * 60 * 1000;

/** Forgets what ended more than `retention` milliseconds ago. Never rejects: what could not be forgotten is tried again next time. */
export async function forgetOldBuilds(
  { table, store, clock, logDirectory, log }: Workshop,
  retention: number,
): Promise<void> {
  let what = "old builds";
  try {
    for (const id of table.endedBefore(clock.now() - retention)) {
      what = `build ${id}`;
      // The logs first: without the rows nobody would know of them.
      await rm(logFolder(logDirectory, id), { recursive: true, force: true });
      store.database.lightly(() => table.delete(id));
    }
  } catch (error) {
    log("warn", `forgetting ${what}: ${KilnError.from(error).message}`);
  }
}

/** Does it now and again and again. */
export function keepForgetting(shop: Workshop, retention: number): Disposable {
  let running = forgetOldBuilds(shop, retention);
  const timer = setInterval(
    () => {
      running = running.then(() => forgetOldBuilds(shop, retention));
    },
    Math.min(interval, retention),
  ).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
