/** Takes care that a daemon has no more memory than it needs, in ways that V8 knows but does not use by itself. */
import { performance } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Milliseconds after which garbage among what is old in memory may only be 40 % of what is in use before it is collected; left alone, V8
 * lets it become several times as much. Said at the start, it would cost 20 ms of that: Node's own compiled code is of no use to a V8
 * with other flags.
 */
const beginning = 10_000;

/** Milliseconds between two looks at what was done meanwhile. */
const pace = 10_000;

/** A part of the time: who does less is idle. */
const idle = 0.005;

/** ... and has something to give back after more than that. */
const busy = 0.02;

/** Until the result is disposed of. `looks` is the milliseconds between two of them. */
export function spareMemory(looks: number = pace): Disposable {
  let last = performance.eventLoopUtilization();
  let hasWorked = true;
  let collect: NodeJS.GCFunction | undefined;
  const look = (): void => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, last);
    last = now;
    if (utilization > busy) hasWorked = true;
    if (!hasWorked || utilization > idle) return;
    hasWorked = false;
    collect ??= collector();
    // Unlike V8's own collections it gives free pages back to the system. It takes some 20 ms.
    collect?.({ type: "major", flavor: "last-resort" });
  };
  const settling = setTimeout(() => setFlagsFromString("--heap-growing-percent=40"), beginning);
  const looking = setInterval(look, looks);
  for (const timer of [settling, looking]) timer.unref();
  return {
    [Symbol.dispose]: () => {
      clearTimeout(settling);
      clearInterval(looking);
    },
  };
}

/** V8's own function for it, which only a new context gets. */
function collector(): NodeJS.GCFunction | undefined {
  setFlagsFromString("--expose-gc");
  const found: NodeJS.GCFunction | undefined = runInNewContext("globalThis.gc");
  setFlagsFromString("--no-expose-gc");
  return found;
}
