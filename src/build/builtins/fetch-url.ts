/**
 * `builtin:fetchurl`: downloads `url` as the fixed output `out`.
 *
 * `urls` may name mirrors, in the order to try them after `url`. `executable`, when not empty, makes the file executable; its hash
 * is then that of the file system object (recursive), because a flat one says nothing about modes.
 */
import { stringToBytes } from "../../util/byte-string.ts";
import type { Clock } from "../../util/clock.ts";
import { KilnError } from "../../util/kiln-error.ts";
import type { ContentAddress } from "../../format/content-address.ts";
import type { BuildTask } from "../executor.ts";
import type { BuiltinContext } from "./builtin.ts";
import { builderFault } from "./fault.ts";
import { Dispatchers } from "./fetch/dispatchers.ts";
import { Download, type DownloadOptions } from "./fetch/download.ts";
import { FixedFile } from "./fetch/fixed-file.ts";
import { defaultFetchOptions, type FetchOptions } from "./fetch/options.ts";
import { httpURL } from "./fetch/urls.ts";

export type { FetchOptions } from "./fetch/options.ts";

/** How often people are told how far it is, in milliseconds. */
const progressInterval = 250;

/** What timers can count to, in milliseconds. */
const longestTimer = 2 ** 31 - 1;

/** @throws KilnError of kind `builder` for what the derivation's author, or the servers named there, can mend. */
export async function fetchURL(
  task: BuildTask,
  context: BuiltinContext,
  options: Partial<FetchOptions> = {},
): Promise<void> {
  const limits = { ...defaultFetchOptions, ...options };
  const { urls, path, ca, executable } = orderOf(task);
  using timer = deadline(limits.totalTimeout);
  const signal = AbortSignal.any([context.signal, timer.signal]);
  await using dispatchers = new Dispatchers(context.environment, limits);
  await using file = await FixedFile.create(path, { ca, executable });
  const downloadOptions: DownloadOptions = {
    file,
    dispatchers,
    limits,
    signal,
    progress: progressOf(task, limits.clock),
    retrying: (error, delay) => {
      say(task, `${error.message}; trying again in ${(delay / 1000).toFixed(1)} s`);
    },
  };
  const faults: KilnError[] = [];
  for (const url of urls) {
    try {
      await new Download(httpURL(url), downloadOptions).run();
      await file.finish();
      return;
    } catch (error) {
      context.signal.throwIfAborted();
      if (timer.signal.aborted) throw tooLong(limits.totalTimeout);
      if (!(error instanceof KilnError) || error.kind === "internal") throw error;
      faults.push(error);
      if (faults.length < urls.length) say(task, `${error.message}; trying the next mirror`);
    }
  }
  throw summaryOf(faults);
}

interface Order {
  readonly urls: readonly string[];
  readonly path: string;
  readonly ca: ContentAddress;
  readonly executable: boolean;
}

/** What the environment asks for, in zb's words where it asks wrongly. */
function orderOf(task: BuildTask): Order {
  const { env } = task;
  const first = env.get("url") ?? "";
  if (first === "") throw builderFault("fetch.url", "missing url environment variable");
  const output = task.outputs.get("out");
  if (output === undefined) throw builderFault("fetch.output", "missing out environment variable");
  const wanted = task.derivation.outputs.get("out");
  if (wanted?.type !== "fixed") throw builderFault("fetch.output", "output is not fixed");
  const executable = (env.get("executable") ?? "") !== "";
  if (executable && wanted.ca.method !== "recursive") {
    throw builderFault("fetch.output", "an executable needs an output with a recursive hash");
  }
  const mirrors = (env.get("urls") ?? "").split(/\s+/).filter((url) => url !== "");
  const urls = [...new Set([first, ...mirrors])];
  return { urls, path: output.real, ca: wanted.ca, executable };
}

function say(task: BuildTask, text: string): void {
  task.log.write(stringToBytes(`${task.derivation.builder}: ${text}\n`));
}

function progressOf(task: BuildTask, clock: Clock): (done: number, total?: number) => void {
  let last = -Infinity;
  return (done, total) => {
    const now = clock.monotonic();
    if (now - last < progressInterval && done !== total) return;
    last = now;
    task.progress("download", done, total, "B");
  };
}

function deadline(ms: number): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), Math.min(ms, longestTimer));
  return { signal: controller.signal, [Symbol.dispose]: () => clearTimeout(timer) };
}

function tooLong(ms: number): KilnError {
  return builderFault("fetch.timeout", `not done after ${Math.round(ms / 1000)} s`);
}

/** A wrong hash says more than that another mirror is down. */
function summaryOf(faults: readonly KilnError[]): KilnError {
  const [first] = faults;
  const code = faults.find((fault) => fault.code === "fetch.hash")?.code ?? first?.code;
  const message = faults.map((fault) => fault.message).join("; ");
  return builderFault(code ?? "fetch.network", message, first);
}
