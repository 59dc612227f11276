/**
 * The wire as a stranger sees it, for replaying transcripts: reads messages without any of the code under test.
 */
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { connect, type Socket } from "node:net";

export interface WireMessage {
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
}

export class Wire implements Disposable {
  readonly #socket: Socket;
  #bytes = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    socket.on("end", end);
    socket.on("close", end);
    socket.on("error", end);
  }

  static async open(path: string): Promise<Wire> {
    const socket = connect(path);
    await once(socket, "connect");
    return new Wire(socket);
  }

  send(bytes: Buffer): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  /** The next message, or undefined when the server has closed the connection. */
  async message(): Promise<WireMessage | undefined> {
    const headerEnd = await this.#until(() => {
      const at = this.#bytes.indexOf("\r\n\r\n");
      return at === -1 ? undefined : at;
    });
    if (headerEnd === undefined) return undefined;
    const headers = new Map<string, string>();
    for (const line of this.#bytes.subarray(0, headerEnd).toString("latin1").split("\r\n")) {
      const colon = line.indexOf(":");
      headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
    }
    this.#bytes = this.#bytes.subarray(headerEnd + 4);
    const length = headers.get("content-length");
    const bodyEnd = await this.#until(() => {
      if (length === undefined) return exportLength(this.#bytes);
      return this.#bytes.length >= Number(length) ? Number(length) : undefined;
    });
    if (bodyEnd === undefined) throw new Error("the connection ended inside a message");
    const body = this.#bytes.subarray(0, bodyEnd);
    this.#bytes = this.#bytes.subarray(bodyEnd);
    return { headers, body };
  }

  /** Whether the server closes within `milliseconds`, having sent nothing more. */
  async closes(milliseconds: number): Promise<boolean> {
    await this.#until(() => (this.#bytes.length > 0 ? true : undefined), milliseconds);
    return this.#ended && this.#bytes.length === 0;
  }

  /** Whether nothing at all comes for `milliseconds`. */
  async silent(milliseconds: number): Promise<boolean> {
    await this.#until(() => (this.#bytes.length > 0 ? true : undefined), milliseconds);
    return !this.#ended && this.#bytes.length === 0;
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }

  async #until<T>(look: () => T | undefined, milliseconds = 30_000): Promise<T | undefined> {
    const end = performance.now() + milliseconds;
    for (;;) {
      const found = look();
      if (found !== undefined || this.#ended) return found;
      const left = end - performance.now();
      if (left <= 0) {
        if (milliseconds === 30_000) throw new Error("no answer for 30 s");
        return undefined;
      }
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, left);
      });
      clearTimeout(timer);
    }
  }
}

/** Length of the export stream at the start of `bytes`, if it is all there. Knows just enough of the format to find its end. */
function exportLength(bytes: Buffer): number | undefined {
  let at = 0;
  const word = (): number => {
    if (at + 8 > bytes.length) throw new RangeError("more");
    at += 8;
    return Number(bytes.readBigUInt64LE(at - 8));
  };
  const string = (): string => {
    const length = word();
    const start = at;
    at += length + ((8 - (length % 8)) % 8);
    if (at > bytes.length) throw new RangeError("more");
    return bytes.toString("latin1", start, start + length);
  };
  try {
    while (word() === 1) {
      string();
      for (let depth = 0, first = true; first || depth > 0; first = false) {
        const token = string();
        if (token === "(") depth++;
        else if (token === ")") depth--;
        else if (token === "contents" || token === "target" || token === "name") string();
      }
      at += 8;
      string();
      for (let count = word(); count > 0; count--) string();
      string();
      if (word() === 1) string();
    }
    return at;
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}
