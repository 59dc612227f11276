import { setTimeout } from "node:timers/promises";
import { type Clock, systemClock } from "../../../util/clock.ts";

/** How patient and how trusting downloads are. Times in milliseconds, sizes in bytes. */
export interface FetchOptions {
  /** How often each URL is tried when the network or the server fails. Default 5. */
  readonly attempts: number;
  /** The wait before the second try; it doubles with each further one, and varies by half. Default 500. */
  readonly firstDelay: number;
  /** The longest wait between two tries, also when the server asks for more. Default 15 s. */
  readonly longestDelay: number;
  /** Default 20 s. */
  readonly connectTimeout: number;
  /** From the request to the headers of the answer. Default 60 s. */
  readonly headersTimeout: number;
  /** Without any byte of the contents. Default 60 s. */
  readonly idleTimeout: number;
  /** For all tries and URLs together. Default 2 h. */
  readonly totalTimeout: number;
  /** The largest file. Default 64 GiB. */
  readonly maxBytes: number;
  /** Default 10. */
  readonly maxRedirects: number;
  /** Hosts that may be asked, redirects included; `*.example.org` means all below that one. Default: all. */
  readonly allowedHosts: readonly string[] | undefined;
  /** Rejects with the signal's reason. For tests. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
  /** At least 0, less than 1. For tests. */
  readonly random: () => number;
  readonly clock: Clock;
}

export const defaultFetchOptions: FetchOptions = {
  attempts: 5,
  firstDelay: 500,
  longestDelay: 15_000,
  connectTimeout: 20_000,
  headersTimeout: 60_000,
  idleTimeout: 60_000,
  totalTimeout: 2 * 60 * 60 * 1000,
  maxBytes: 64 * 2 ** 30,
  maxRedirects: 10,
  allowedHosts: undefined,
  sleep: async (ms, signal) => {
    try {
      await setTimeout(ms, undefined, { signal });
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
  },
  random: Math.random,
  clock: systemClock,
};
