/** Finding text in a log: all of it is searched, and the count is exact. The work is done in a thread. */
import { KilnError } from "../util/kiln-error.ts";
import { startThread } from "../util/start-thread.ts";

export interface SearchTask {
  readonly path: string;
  /** What is looked for: text, or with `isPattern` a regular expression. */
  readonly text: string;
  readonly isPattern: boolean;
  readonly isCaseSensitive: boolean;
  /** The first line whose number is given, from 1. */
  readonly from: number;
  /** The most numbers given. */
  readonly limit: number;
}

export interface SearchFinding {
  /** Matches in the whole log. */
  readonly total: number;
  /** Of those, how many are in lines before `from`. */
  readonly before: number;
  /** The line of each match from `from` on, ascending; a line with two matches is there twice. */
  readonly lines: readonly number[];
  /** Where in the log there are matches: 1 for each of 200 equal parts that has one. */
  readonly ticks: readonly number[];
}

/** Milliseconds that a search may take. */
const patience = 10_000;

/** Searches at the same time; more wait for those. */
const mostThreads = 2;
let running = 0;
const waiting: (() => void)[] = [];

/**
 * Searches a log.
 *
 * @throws KilnError `log.pattern` for a regular expression that is none, `log.search` when it takes too long; the reason of `signal`
 */
export async function searchLog(task: SearchTask, signal?: AbortSignal): Promise<SearchFinding> {
  if (running >= mostThreads) await new Promise<void>((resolve) => waiting.push(resolve));
  running++;
  try {
    signal?.throwIfAborted();
    return await inThread(task, signal);
  } finally {
    running--;
    waiting.shift()?.();
  }
}

async function inThread(task: SearchTask, signal?: AbortSignal): Promise<SearchFinding> {
  const worker = startThread("log-search-worker", import.meta.url, { workerData: task });
  const { promise, resolve, reject } = Promise.withResolvers<SearchFinding>();
  worker.once("message", (answer: SearchFinding | { readonly fault: string }) => {
    if ("fault" in answer) reject(new KilnError("log.pattern", answer.fault));
    else resolve(answer);
  });
  worker.once("error", reject);
  worker.once("exit", () => reject(new Error("the thread ended")));
  const timer = setTimeout(() => {
    reject(new KilnError("log.search", `the search took more than ${patience / 1000} s`));
  }, patience);
  const leave = (): void => reject(signal?.reason);
  signal?.addEventListener("abort", leave, { once: true });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", leave);
    worker.removeAllListeners();
    await worker.terminate();
  }
}
