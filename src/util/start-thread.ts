import { Worker, type WorkerOptions } from "node:worker_threads";

/**
 * Starts a thread whose program is the module `name` beside the one at `place`. It sees no environment. What was built has that module with
 * all it needs in one file (see scripts/bundle.ts): to load modules one by one takes as long as all the rest of the start.
 */
export function startThread(name: string, place: string, options: WorkerOptions = {}): Worker {
  const extension = place.endsWith(".ts") ? "ts" : "cjs";
  return new Worker(new URL(`${name}.${extension}`, place), { ...options, env: {} });
}
