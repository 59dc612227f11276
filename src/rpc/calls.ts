/** Calls to the other side that wait for their answer. */
import { fromWireError } from "./errors.ts";
import type { ReplyMessage } from "./message.ts";

interface Call {
  readonly method: string;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class Calls {
  /** By the id as JSON text. */
  readonly #waiting = new Map<string, Call>();
  #last = 0;
  #over: Error | undefined;

  /** How many calls there ever were. */
  get made(): number {
    return this.#last;
  }

  /**
   * The answer to a call of `method`. `send` is called at once with its id: hexadecimal, counted from 1, as zb's client does.
   * `cancel` is called with the same id when `signal` aborts.
   *
   * @throws RpcError when the answer is an error; the reason of `signal`; what {@link failAll} was given
   */
  make(
    method: string,
    send: (id: string) => void,
    abort: { readonly signal: AbortSignal | undefined; readonly cancel: (id: string) => void },
  ): Promise<unknown> {
    const { signal, cancel } = abort;
    return new Promise((resolve, reject) => {
      if (this.#over !== undefined) return reject(this.#over);
      const id = (++this.#last).toString(16);
      const key = JSON.stringify(id);
      const onAbort = (): void => {
        const reason: unknown = signal?.reason;
        if (this.#waiting.delete(key)) cancel(id);
        reject(reason);
      };
      if (signal?.aborted === true) return onAbort();
      const done = (): void => signal?.removeEventListener("abort", onAbort);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiting.set(key, {
        method,
        resolve: (result) => {
          done();
          resolve(result);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      });
      send(id);
    });
  }

  /** Ends the call that `reply` answers. False when there is none, or none any more. */
  settle(reply: ReplyMessage): boolean {
    const { idText, error } = reply;
    const call = idText === undefined ? undefined : this.#waiting.get(idText);
    if (idText === undefined || call === undefined) return false;
    this.#waiting.delete(idText);
    if (error === undefined) call.resolve(reply.result);
    else call.reject(fromWireError(call.method, error));
    return true;
  }

  /** Fails all calls, now and from now on. Only the first reason counts. */
  failAll(reason: Error): void {
    this.#over ??= reason;
    const calls = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const call of calls) call.reject(this.#over);
  }
}
