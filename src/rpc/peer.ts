/**
 * One end of a connection: JSON-RPC both ways, and export messages in between.
 *
 * Requests are read one by one and run concurrently; replies go out in any order, each message whole. An export is received
 * completely before the next message is read, so whatever is asked after it sees its effect; what was asked before may still run.
 *
 *     stream -> StreamSource -> FrameReader -> parseMessage -> Requests -> handler
 *     stream <- MessageWriter <- replies, notifications, exports
 *
 * How it ends: when the other side has sent its last message, or a message could not be understood, nothing more is read; running
 * requests finish and are answered; then the connection is closed. When the other side is gone altogether, running requests are
 * aborted, and what it had sent before is still read and carried out.
 */
import type { Duplex } from "node:stream";
import { ByteReader } from "../util/byte-reader.ts";
import { hasCode, KilnError } from "../util/kiln-error.ts";
import { Calls } from "./calls.ts";
import { ErrorCode, methodNotFound, toWireError, type WireError } from "./errors.ts";
import {
  defaultFrameLimits,
  FrameBody,
  FrameReader,
  type Frame,
  type FrameLimits,
} from "./frame.ts";
import { Headers } from "./headers.ts";
import {
  cancelMethod,
  errorText,
  parseMessage,
  requestText,
  resultText,
  type RequestID,
  type ReplyMessage,
  type RequestMessage,
} from "./message.ts";
import {
  defaultRequestLimits,
  Requests,
  type IncomingRequest,
  type RequestLimits,
  type SharedWaits,
} from "./requests.ts";
import { StreamSource } from "./stream-source.ts";
import { catchWriteErrors } from "./write-errors.ts";
import { interrupted, MessageWriter, type Chunks } from "./writer.ts";

/** What a handler is given. */
export interface Request {
  readonly method: string;
  /** As sent; undefined when missing. {@link checkParams} gives them a type. */
  readonly params: unknown;
  /** Undefined for a notification. */
  readonly id: RequestID | undefined;
  /** The id as JSON text; undefined for a notification. */
  readonly idText: string | undefined;
  /** Members of the message beside those of JSON-RPC. Has no prototype. */
  readonly extra: Readonly<Record<string, unknown>>;
  /** Aborts when the request is cancelled and when the other side is gone. */
  readonly signal: AbortSignal;
  /** Whether nobody waits for an answer. */
  readonly notification: boolean;
  readonly peer: Peer;
}

/**
 * Answers a request with what it resolves to; undefined is sent as null. What it throws is sent as an error, see errors.ts. For a
 * notification both are dropped.
 */
export type RequestHandler = (request: Request) => Promise<unknown>;

export interface PeerLimits extends FrameLimits, RequestLimits {
  /** Bytes of unread answers at which no more is read. */
  readonly unsentBytes: number;
  /** Milliseconds a write may take without progress before the connection is closed; Infinity waits for ever. */
  readonly stallTimeout: number;
  /** Milliseconds between two looks whether the other side is still there, while nothing is read. */
  readonly probeInterval: number;
  /** Milliseconds that the header and the JSON of a message may take to arrive once it has begun; Infinity waits for ever. */
  readonly messageTimeout: number;
  /** Milliseconds for which the bytes of an export may fail to come; Infinity waits for ever. */
  readonly exportTimeout: number;
}

/** What zb allows, and Kiln's bounds where zb has none. */
export const defaultPeerLimits: PeerLimits = {
  ...defaultFrameLimits,
  ...defaultRequestLimits,
  unsentBytes: 1024 * 1024,
  stallTimeout: 60_000,
  probeInterval: 1000,
  messageTimeout: Infinity,
  exportTimeout: Infinity,
};

export interface PeerOptions {
  /** Takes requests and notifications. Without it every method is unknown. */
  readonly handler?: RequestHandler;
  /**
   * Takes the body of an export message. Without a length in the header it must read to exactly the end of the export. When it
   * throws, the rest of a body of known length is skipped; without a length the connection ends.
   */
  readonly receiveExport?: (body: ByteReader, headers: Headers) => Promise<void>;
  readonly limits?: Partial<PeerLimits>;
  /** Shared by connections; default: a bound of its own only. */
  readonly waits?: SharedWaits;
  /** Told why a connection ended before its time, or an export was given up: for a log. */
  readonly onFault?: (fault: KilnError) => void;
}

export interface CallOptions {
  /** Its abort sends `$/cancelRequest` and fails the call with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Members of the message beside those of JSON-RPC. */
  readonly extra?: Readonly<Record<string, unknown>> | undefined;
  /** Told the id of the request before it is sent. */
  readonly onID?: ((id: string) => void) | undefined;
}

export class Peer implements AsyncDisposable {
  /** Resolves, never rejects, when the connection is closed and nothing of it runs any more. */
  readonly closed: Promise<void>;
  readonly #stream: Duplex;
  readonly #options: PeerOptions;
  readonly #limits: PeerLimits;
  readonly #source: StreamSource;
  readonly #reader: ByteReader;
  readonly #frames: FrameReader;
  readonly #writer: MessageWriter;
  readonly #requests: Requests;
  readonly #calls = new Calls();
  readonly #clock: NodeJS.Timeout | undefined;
  #isClosing = false;
  #isInExport = false;
  #hasReadAll = false;
  /** Why the other side cannot be reached any more. */
  #gone: KilnError | undefined;

  /** Takes over `stream` and begins to read. */
  constructor(stream: Duplex, options: PeerOptions = {}) {
    this.#stream = stream;
    this.#options = options;
    this.#limits = { ...defaultPeerLimits, ...options.limits };
    // Else Node ends our half with the other one, and replies to the last requests are lost.
    stream.allowHalfOpen = true;
    this.#source = new StreamSource(stream);
    this.#reader = new ByteReader(this.#source);
    this.#frames = new FrameReader(this.#reader, this.#limits);
    this.#writer = new MessageWriter(stream, {
      stallTimeout: this.#limits.stallTimeout,
      onFault: (fault) => this.#onWriteFault(fault),
    });
    catchWriteErrors(stream, (error) => this.#writer.fail(interrupted(error)));
    const start = (request: IncomingRequest): void => void this.#handle(request);
    this.#requests = new Requests(this.#limits, start, options.waits);
    const shortest = Math.min(this.#limits.messageTimeout, this.#limits.exportTimeout);
    if (shortest !== Infinity) {
      this.#clock = setInterval(() => this.#checkPace(), shortest / 4).unref();
    }
    const streamClosed = new Promise<void>((resolve) => {
      if (stream.closed) resolve();
      else stream.once("close", resolve);
    }).then(() => this.#onGone(interrupted()));
    this.closed = Promise.all([this.#run(), streamClosed]).then(() => undefined);
  }

  /** Bytes of messages that the other side has not taken yet: a sender of many notifications should look at it. */
  get unsentBytes(): number {
    return this.#writer.unsent;
  }

  /**
   * Asks the other side. Ids are counted from 1 in hexadecimal, as strings.
   *
   * @throws RpcError when the answer is an error; the reason of `signal`; KilnError `socket.interrupted` when the connection ends
   * first, `socket.closed` when {@link close} was called.
   */
  call(method: string, params: unknown, options: CallOptions = {}): Promise<unknown> {
    const { signal, extra, onID } = options;
    const send = (id: string): void => {
      onID?.(id);
      this.#writer.send(requestText(method, params, id, extra));
    };
    const cancel = (id: string): void => this.notify(cancelMethod, { id });
    return this.#calls.make(method, send, { signal, cancel });
  }

  /** Tells the other side something; without effect when the connection is over. */
  notify(method: string, params: unknown): void {
    this.#writer.send(requestText(method, params));
  }

  /**
   * Sends an export message; all other messages wait for its end. Chunks are pulled as fast as the other side takes them, and must
   * not be changed after they were given. When `chunks` fails midway the connection is destroyed, since the message cannot be
   * ended: find out before whether it will work. `signal` counts until the first byte is sent.
   *
   * @throws what `chunks` throws, the reason of `signal`, KilnError when the connection fails
   */
  sendExport(headers: Headers, chunks: Chunks, signal?: AbortSignal): Promise<void> {
    return this.#writer.sendExport(headers, chunks, signal);
  }

  /** Resolves when the other side has taken everything but `unsentBytes` bytes, or the connection is over. */
  flushed(unsentBytes = 0): Promise<void> {
    return this.#writer.drained(unsentBytes);
  }

  /**
   * Ends the connection in order: nothing more is read, running requests finish and are answered, calls fail with
   * `socket.closed`. Resolves when it is closed.
   */
  close(): Promise<void> {
    this.#isClosing = true;
    this.#calls.failAll(new KilnError("socket.closed", "the connection was closed"));
    this.#source.stop();
    return this.closed;
  }

  /** Ends the connection at once: running requests are aborted, what was not sent is lost. */
  destroy(fault: KilnError = new KilnError("socket.closed", "the connection was closed")): void {
    this.#abandon(fault);
    // With an error, so that the other end of an in-memory pair is told too.
    this.#stream.destroy(fault);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Reads to the end, then waits for what still runs, then closes. */
  async #run(): Promise<void> {
    try {
      await this.#readAll();
    } catch (error) {
      if (!this.#isClosing) this.#options.onFault?.(KilnError.from(error, "socket.interrupted"));
    }
    clearInterval(this.#clock);
    this.#hasReadAll = true;
    if (this.#gone !== undefined) this.#abandon(this.#gone);
    // Replies came in what was read. Those that we owe can still go out.
    this.#calls.failAll(interrupted());
    // Most often it is gone, and not only done with asking.
    if (!this.#requests.isIdle) this.#writer.probe();
    await this.#watching(this.#requests.idle());
    // In memory, our end is taken only when the other side may send its own.
    this.#source.discard();
    await this.#writer.end();
    this.#stream.destroy();
  }

  /** Who begins a message and does not go on, is given up: a connection costs memory, and there are only so many. */
  #checkPace(): void {
    const { messageTimeout, exportTimeout } = this.#limits;
    const since = this.#isInExport ? this.#source.waitingSince : this.#frames.begun;
    const limit = this.#isInExport ? exportTimeout : messageTimeout;
    if (since === undefined || performance.now() - since < limit) return;
    const fault = new KilnError("frame.slow", `a message was not complete after ${limit / 1000} s`);
    this.#options.onFault?.(fault);
    this.destroy(fault);
  }

  async #readAll(): Promise<void> {
    for (;;) {
      await this.#roomToRead();
      const frame = await this.#frames.next();
      // What is in memory already does not count as read.
      if (frame === undefined || this.#isClosing) return;
      if (frame.type === "rpc") this.#receive(frame.body);
      else {
        this.#isInExport = true;
        await this.#receiveExport(frame);
        this.#isInExport = false;
      }
    }
  }

  /** Who does not read our answers, or asks more than it may, is not listened to. */
  async #roomToRead(): Promise<void> {
    const { unsentBytes } = this.#limits;
    while (this.#writer.unsent > unsentBytes || this.#requests.isFull) {
      await this.#watching(
        this.#requests.isFull ? this.#requests.room() : this.#writer.drained(unsentBytes),
      );
    }
  }

  /** While nothing is read, only an attempt to write shows that the other side is gone. */
  async #watching(wait: Promise<void>): Promise<void> {
    if (this.#requests.isIdle) return wait;
    const timer = setInterval(() => this.#writer.probe(), this.#limits.probeInterval).unref();
    await wait.finally(() => clearInterval(timer));
  }

  #receive(body: Buffer): void {
    const message = parseMessage(body);
    switch (message.type) {
      case "request":
        if (message.method === cancelMethod) this.#cancel(message);
        else if (!this.#requests.add(message)) {
          this.#answerInvalid({
            code: ErrorCode.invalidRequest,
            message: `a request with id ${message.idText ?? ""} is in flight`,
          });
        }
        break;
      case "reply":
        this.#receiveReply(message);
        break;
      case "invalid":
        this.#answerInvalid(message);
        break;
    }
  }

  #answerInvalid(error: WireError): void {
    this.#writer.send(errorText("null", error));
  }

  #receiveReply(reply: ReplyMessage): void {
    if (this.#calls.settle(reply)) return;
    // A late reply to a call that was aborted, or to nobody. An error with the id null, as this answer has, is never answered, or two
    // servers that are wired to each other would talk for ever.
    if (this.#calls.made > 0 || (reply.error !== undefined && reply.idText === "null")) return;
    this.#answerInvalid({ code: ErrorCode.invalidRequest, message: "method is missing" });
  }

  #cancel(message: RequestMessage): void {
    const { idText, cancels } = message;
    if (cancels !== undefined) {
      const dropped = this.#requests.cancel(cancels, cancelled());
      if (dropped !== undefined) this.#refuse(dropped.message, cancelledError);
    }
    if (idText === undefined) return;
    if (cancels === undefined) {
      this.#refuse(message, cancelsNothing);
    } else {
      this.#writer.send(resultText(idText, null));
    }
  }

  async #handle(request: IncomingRequest): Promise<void> {
    const { message } = request;
    const { method, params, id, idText, extra } = message;
    try {
      const { handler } = this.#options;
      if (handler === undefined) throw methodNotFound(method);
      const result = await handler({
        method,
        params,
        id,
        idText,
        extra,
        get signal() {
          return request.signal;
        },
        notification: id === undefined,
        peer: this,
      });
      this.#answer(message, result);
    } catch (error) {
      this.#refuse(message, toWireError(error, request.signal));
    }
    this.#requests.finish(request);
  }

  #answer(message: RequestMessage, result: unknown): void {
    const { method, idText } = message;
    if (idText === undefined) return;
    let text;
    try {
      text = resultText(idText, result);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      text = errorText(idText, {
        code: ErrorCode.internal,
        message: `the result of ${method} cannot be written: ${reason}`,
      });
    }
    this.#writer.send(text);
  }

  #refuse({ idText }: RequestMessage, error: WireError): void {
    if (idText !== undefined) this.#writer.send(errorText(idText, error));
  }

  async #receiveExport(frame: Frame & { type: "export" }): Promise<void> {
    const { headers, length } = frame;
    const { receiveExport } = this.#options;
    if (length === undefined) {
      if (receiveExport === undefined) {
        throw new KilnError(
          "frame.export",
          "an export came without a length, and none is expected",
        );
      }
      return receiveExport(this.#reader, headers);
    }
    const body = new FrameBody(this.#reader, length);
    try {
      await receiveExport?.(body.reader, headers);
    } catch (error) {
      if (!this.#isClosing) this.#options.onFault?.(KilnError.from(error));
    }
    return body.skip();
  }

  #onWriteFault(fault: KilnError): void {
    if (!this.#isClosing && this.#gone === undefined) this.#options.onFault?.(fault);
    if (hasCode(fault, "socket.interrupted")) this.#onGone(fault);
    else this.destroy(fault);
  }

  /** Nothing can be answered any more. What was received is read to its end: it may say to cancel something. */
  #onGone(fault: KilnError): void {
    this.#gone ??= fault;
    if (this.#hasReadAll) return this.#abandon(fault);
    this.#requests.abortRunning(fault);
    this.#writer.fail(fault);
  }

  /** Nothing more is read or carried out. */
  #abandon(fault: KilnError): void {
    this.#isClosing = true;
    this.#source.stop();
    this.#calls.failAll(fault);
    this.#requests.abortAll(fault);
    this.#writer.fail(fault);
  }
}

const cancelledError: WireError = {
  code: ErrorCode.cancelled,
  message: "the request was cancelled",
};

const cancelsNothing: WireError = {
  code: ErrorCode.invalidParams,
  message: `${cancelMethod}: params must name the id to cancel`,
};

function cancelled(): KilnError {
  return new KilnError("request.cancelled", cancelledError.message);
}
