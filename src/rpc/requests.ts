/**
 * The requests that came in on one connection: which run, which wait for their turn, which ids are taken.
 *
 * Three pools, each with a bound of its own: ordinary requests, requests that only wait for something (following a log), and
 * notifications. So a cancel gets through however busy the connection is. What waits is bounded too, in number and in bytes:
 * beyond that nothing more should be read. Waiting costs nothing until what is waited for happens, and then all wake at once: so
 * connections share a bound of that.
 */
import type { RequestMessage } from "./message.ts";
import { waitingMethods } from "./protocol.ts";

export interface RequestLimits {
  /** Requests that run at once. */
  readonly inFlight: number;
  /** Requests of {@link waitingMethods} that run at once; they do not count as in flight. */
  readonly inFlightWaits: number;
  /** So many of them also when others take all of {@link SharedWaits}. */
  readonly assuredWaits: number;
  /** Requests and notifications that wait for their turn. */
  readonly queued: number;
  /** Bytes of all messages that run or wait. */
  readonly heldBytes: number;
}

export const defaultRequestLimits: RequestLimits = {
  inFlight: 256,
  inFlightWaits: 1024,
  assuredWaits: 16,
  queued: 1024,
  heldBytes: 4 * 1024 * 1024,
};

/** What connections have of requests that wait for something, and may have, together. */
export interface SharedWaits {
  readonly limit: number;
  running: number;
}

/** A request that runs or waits. */
export class IncomingRequest {
  readonly message: RequestMessage;
  readonly pool: Pool;
  #controller: AbortController | undefined;
  #reason: unknown;

  constructor(message: RequestMessage, pool: Pool) {
    this.message = message;
    this.pool = pool;
  }

  /** Made when first asked for: most requests never do. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    return this.#controller.signal;
  }

  abort(reason: Error): void {
    this.#reason ??= reason;
    this.#controller?.abort(this.#reason);
  }
}

interface Pool {
  readonly limit: number;
  /** That many may run whatever others do. */
  readonly assured: number;
  readonly shared: SharedWaits;
  readonly queue: IncomingRequest[];
  running: number;
}

export class Requests {
  readonly #limits: RequestLimits;
  readonly #start: (request: IncomingRequest) => void;
  readonly #ordinary: Pool;
  readonly #waits: Pool;
  readonly #notifications: Pool;
  readonly #running = new Set<IncomingRequest>();
  readonly #byID = new Map<string, IncomingRequest>();
  #queued = 0;
  #heldBytes = 0;
  #abandoned: Error | undefined;
  #changeWaiters: (() => void)[] = [];

  /** `start` is called with each request when its turn has come. */
  constructor(
    limits: RequestLimits,
    start: (request: IncomingRequest) => void,
    shared: SharedWaits = unshared(),
  ) {
    this.#limits = limits;
    this.#start = start;
    const { inFlight, inFlightWaits, assuredWaits } = limits;
    this.#ordinary = newPool(inFlight, inFlight, unshared());
    this.#waits = newPool(inFlightWaits, Math.min(inFlightWaits, assuredWaits), shared);
    this.#notifications = newPool(inFlight, inFlight, unshared());
  }

  /** Takes a request; starts it now or when its turn comes. False when its id is in use. */
  add(message: RequestMessage): boolean {
    const { idText } = message;
    if (idText !== undefined && this.#byID.has(idText)) return false;
    const pool = this.#poolOf(message);
    const request = new IncomingRequest(message, pool);
    // Null identifies nothing: any number of requests may have it, none of them can be cancelled.
    if (idText !== undefined && idText !== "null") this.#byID.set(idText, request);
    this.#heldBytes += message.size;
    if (mayRun(pool)) {
      this.#run(request);
    } else {
      pool.queue.push(request);
      this.#queued++;
    }
    return true;
  }

  /** To be called once for each request that was started, when it is over. */
  finish(request: IncomingRequest): void {
    if (!this.#running.delete(request)) return;
    this.#forget(request);
    const { pool } = request;
    pool.running--;
    pool.shared.running--;
    // When others have left room, too, more than one may have its turn.
    while (mayRun(pool)) {
      const next = pool.queue.shift();
      if (next === undefined) break;
      this.#queued--;
      this.#run(next);
    }
    this.#changed();
  }

  /** Aborts the request with this id. If it never ran it is dropped and returned, to be answered. */
  cancel(idText: string, reason: Error): IncomingRequest | undefined {
    const request = this.#byID.get(idText);
    if (request === undefined) return undefined;
    if (this.#running.has(request)) {
      request.abort(reason);
      return undefined;
    }
    request.pool.queue.splice(request.pool.queue.indexOf(request), 1);
    this.#queued--;
    this.#forget(request);
    this.#changed();
    return request;
  }

  /** Nobody is there for the answers: aborts what runs, and from now on what starts, which still does what takes no waiting. */
  abortRunning(reason: Error): void {
    this.#abandoned ??= reason;
    for (const request of this.#running) request.abort(reason);
  }

  /** Aborts what runs and drops what waits. */
  abortAll(reason: Error): void {
    for (const { queue } of [this.#ordinary, this.#waits, this.#notifications]) {
      for (const request of queue.splice(0)) this.#forget(request);
    }
    this.#queued = 0;
    this.abortRunning(reason);
    this.#changed();
  }

  get isIdle(): boolean {
    return this.#running.size === 0 && this.#queued === 0;
  }

  /** Whether so much waits that no more should be read. */
  get isFull(): boolean {
    return this.#queued >= this.#limits.queued || this.#heldBytes >= this.#limits.heldBytes;
  }

  /** Resolves when nothing runs or waits. */
  async idle(): Promise<void> {
    while (!this.isIdle) await this.#change();
  }

  /** Resolves when more may be read. */
  async room(): Promise<void> {
    while (this.isFull) await this.#change();
  }

  #poolOf(message: RequestMessage): Pool {
    if (message.id === undefined) return this.#notifications;
    return waitingMethods.has(message.method) ? this.#waits : this.#ordinary;
  }

  #run(request: IncomingRequest): void {
    request.pool.running++;
    request.pool.shared.running++;
    this.#running.add(request);
    if (this.#abandoned !== undefined) request.abort(this.#abandoned);
    this.#start(request);
  }

  #forget(request: IncomingRequest): void {
    const { idText, size } = request.message;
    this.#heldBytes -= size;
    if (idText !== undefined) this.#byID.delete(idText);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#changeWaiters.push(resolve));
  }

  #changed(): void {
    if (this.#changeWaiters.length === 0) return;
    const waiters = this.#changeWaiters;
    this.#changeWaiters = [];
    for (const resolve of waiters) resolve();
  }
}

function newPool(limit: number, assured: number, shared: SharedWaits): Pool {
  return { limit, assured, shared, queue: [], running: 0 };
}

function mayRun({ limit, assured, shared, running }: Pool): boolean {
  return running < assured || (running < limit && shared.running < shared.limit);
}

function unshared(): SharedWaits {
  return { limit: Infinity, running: 0 };
}
