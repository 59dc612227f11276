import { setImmediate } from "node:timers/promises";

/** How long a slice of work may hold up everything else, in milliseconds. */
const sliceLength = 10;

/**
 * Runs synchronous work that comes in small steps without holding up the event loop: after each slice of some milliseconds
 * everything else gets its turn. When `each` throws, or the signal is aborted, the steps end.
 */
export async function inSlices<T>(
  steps: Iterable<T>,
  each: (step: T) => void,
  signal?: AbortSignal,
): Promise<void> {
  let end = performance.now() + sliceLength;
  for (const step of steps) {
    each(step);
    if (performance.now() < end) continue;
    await setImmediate();
    signal?.throwIfAborted();
    end = performance.now() + sliceLength;
  }
}
