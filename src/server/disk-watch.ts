/** Keeping an eye on the store's disk: what to do before it is full. */
import { statfsSync } from "node:fs";
import type { Store } from "../store/store.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { Log } from "./options.ts";

/** Milliseconds between two looks. */
const pace = 30_000;

/** Less than this is said, when nobody has said how much is to be kept free: bytes, and a part of the disk. */
const low = { bytes: 1024 ** 3, part: 0.05 };

/** An object is not collected within this many milliseconds of its last use. */
const youngest = 3_600_000;

/** More than the wanted is freed, so that the next collection is not at once: as a part of it. */
const margin = 0.25;

/**
 * Looks at the free space from time to time. When it falls below `keepFree` bytes, garbage is collected, the least recently used first;
 * with 0 a disk that runs low is only spoken of.
 */
export function watchDisk(store: Store, keepFree: number, log: Log): Disposable {
  const stop = new AbortController();
  let isBusy = false;
  let isLow = false;
  const look = async (): Promise<void> => {
    if (isBusy) return;
    isBusy = true;
    try {
      const { free, size } = space(store.realDirectory);
      const limit = keepFree > 0 ? keepFree : Math.min(low.bytes, low.part * size);
      const wasLow = isLow;
      isLow = free < limit;
      if (!isLow) return;
      if (keepFree > 0) await collect(store, keepFree, { stop: stop.signal, log, free });
      else if (!wasLow) {
        log(
          "warn",
          `the disk of ${store.realDirectory} has ${mebibytes(free)} free: kiln gc makes space, serve --keep-free does so by itself`,
        );
      }
    } catch (error) {
      if (!stop.signal.aborted) log("error", `collecting: ${KilnError.from(error).message}`);
    } finally {
      isBusy = false;
    }
  };
  const timer = setInterval(() => void look(), pace).unref();
  void look();
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer);
      stop.abort();
    },
  };
}

async function collect(
  store: Store,
  keepFree: number,
  { stop, log, free }: { readonly stop: AbortSignal; readonly log: Log; readonly free: number },
): Promise<void> {
  const { count, bytes } = await store.collect({
    keepFree: Math.round(keepFree * (1 + margin)),
    olderThan: youngest,
    signal: stop,
  });
  const { free: now } = space(store.realDirectory);
  const enough = now >= keepFree ? "" : ": no more can go, roots or uses of the last hour need it";
  log(
    now >= keepFree ? "info" : "warn",
    `only ${mebibytes(free)} were free: collected ${count} objects of ${mebibytes(bytes)}, ${mebibytes(now)} are free now${enough}`,
  );
}

function space(place: string): { readonly free: number; readonly size: number } {
  const { bavail, bsize, blocks } = statfsSync(place);
  return { free: bavail * bsize, size: blocks * bsize };
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1024 ** 2)} MiB`;
}
