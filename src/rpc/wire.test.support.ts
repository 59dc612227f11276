/** For tests: a pair of connected Unix sockets, and the wire as a stranger sees it, read without the code under test. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const rpcType = "application/zb-store-rpc+json";
export const exportType = "application/zb-store-export";

/** Two ends of one connection, both able to half-close. */
export async function socketPair(): Promise<[Socket, Socket]> {
  const folder = await mkdtemp(join(tmpdir(), "kiln-rpc-"));
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  try {
    server.listen(join(folder, "socket"));
    await once(server, "listening");
    const accepted = new Promise<Socket>((resolve) => {
      server.once("connection", resolve);
    });
    const client = connect({ path: join(folder, "socket"), allowHalfOpen: true });
    const [ours] = await Promise.all([accepted, once(client, "connect")]);
    return [ours, client];
  } finally {
    server.close();
    await rm(folder, { recursive: true });
  }
}

export function frame(body: string | Buffer, type: string = rpcType): Buffer {
  const bytes = Buffer.from(body);
  const header = `Content-Length: ${bytes.length}\r\nContent-Type: ${type}\r\n\r\n`;
  return Buffer.concat([Buffer.from(header), bytes]);
}

/** A request, as a frame. Without `id` a notification. */
export function request(method: string, id?: unknown, params: unknown = {}): Buffer {
  return frame(JSON.stringify({ jsonrpc: "2.0", method, id, params }));
}

export interface Answer {
  readonly id?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string };
}

/** A client that knows nothing. */
export class Wire implements Disposable {
  readonly socket: Socket;
  #bytes = Buffer.alloc(0);
  #ended = false;
  #wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk]);
      this.#wake();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake();
    };
    socket.on("end", end).on("close", end).on("error", end);
  }

  send(...bytes: (Buffer | string)[]): void {
    for (const part of bytes) this.socket.write(part);
  }

  /** Exactly `n` bytes. */
  async take(n: number): Promise<Buffer> {
    await this.#until(() => this.#bytes.length >= n || this.#ended);
    assert.ok(this.#bytes.length >= n, `closed after ${this.#bytes.length} of ${n} bytes`);
    const taken = this.#bytes.subarray(0, n);
    this.#bytes = this.#bytes.subarray(n);
    return taken;
  }

  /** The next header block, as text. */
  async header(): Promise<string> {
    const end = (): number => this.#bytes.indexOf("\r\n\r\n");
    await this.#until(() => end() !== -1 || this.#ended);
    assert.notEqual(end(), -1, `closed after ${JSON.stringify(this.#bytes.toString())}`);
    return (await this.take(end() + 4)).toString();
  }

  /** The next JSON message. */
  async answer(): Promise<Answer> {
    const header = await this.header();
    const match =
      /^Content-Length: (\d+)\r\nContent-Type: application\/zb-store-rpc\+json\r\n\r\n$/.exec(
        header,
      );
    assert.ok(match?.[1] !== undefined, JSON.stringify(header));
    const answer: Answer = JSON.parse((await this.take(Number(match[1]))).toString());
    return answer;
  }

  /** The next `n` JSON messages by the text of their ids. */
  async answers(n: number): Promise<Map<string, Answer>> {
    const all = new Map<string, Answer>();
    for (let i = 0; i < n; i++) {
      const answer = await this.answer();
      all.set(JSON.stringify(answer.id), answer);
    }
    return all;
  }

  /** Resolves with what came before the other side closed its half. */
  async ended(): Promise<string> {
    await this.#until(() => this.#ended);
    return this.#bytes.toString();
  }

  /** Bytes that came and were not taken. */
  get pending(): number {
    return this.#bytes.length;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
