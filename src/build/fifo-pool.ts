/**
 * FIFOs for builders to write their words into.
 *
 * A builder's standard output is a FIFO because nothing else will do: Node's own pipes are sockets, which `/dev/stdout` cannot open;
 * a log file could be cut off by the builder. Making one takes a process, so they are made several at a time and used again.
 */
import { execFile } from "node:child_process";
import { chmodSync, closeSync, constants, existsSync, openSync, readSync, rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { Socket } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { KilnError } from "../util/kiln-error.ts";

const batch = 8;

/** What is read into it is used at once. */
const chunk = Buffer.allocUnsafeSlow(64 * 1024);

/** A pipe holds as much as one of them, most often. */
const mostReads = 4;

/** One FIFO, open at both ends. */
export class Fifo implements Disposable {
  readonly path: string;
  /** For the builder; {@link Fifo.closeWriteEnd} once it has it. */
  readonly writeEnd: number;
  /** Resolves when no writer is left and everything was read. */
  readonly ended: Promise<void>;
  readonly #readEnd: number;
  readonly #socket: Socket;
  #onData: (chunk: Buffer) => void = () => undefined;
  readonly #giveBack: (isClean: boolean) => void;
  #isEnded = false;
  #isWriteEndOpen = true;

  constructor(path: string, giveBack: (isClean: boolean) => void) {
    this.path = path;
    // A builder may have changed that, where it is the same user; one that runs now still may.
    chmodSync(path, 0o622);
    // Without a reader the other end would wait; without a writer reading would end at once.
    const readEnd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      this.writeEnd = openSync(path, constants.O_WRONLY);
    } catch (error) {
      closeSync(readEnd);
      throw error;
    }
    this.#readEnd = readEnd;
    this.#giveBack = giveBack;
    this.#socket = new Socket({ fd: readEnd, readable: true, writable: false });
    this.#socket.unref(); // until somebody waits for what comes
    this.ended = new Promise((resolve) => {
      const end = (): void => {
        this.#isEnded = true;
        resolve();
      };
      this.#socket.once("end", end).once("error", end).once("close", end);
    });
  }

  /** Begins to read; `onData` gets what is written into it, in order. */
  read(onData: (chunk: Buffer) => void): void {
    this.#onData = onData;
    this.#socket.ref().on("data", onData);
  }

  /** Whether everything was read within so many milliseconds: somebody else may have got hold of the write end. */
  async endsWithin(milliseconds: number): Promise<boolean> {
    this.#isEnded ||= this.#readNow();
    if (this.#isEnded) return true;
    const late = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => late.resolve(false), milliseconds);
    try {
      return await Promise.race([this.ended.then(() => true), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Reads what is there, sooner than it would be told of. Whether that was all that will ever come. */
  #readNow(): boolean {
    // What was told of already comes first. Who still writes must not hold up everything else.
    if (this.#socket.readableLength > 0) return false;
    for (let reads = 0; reads < mostReads; reads++) {
      const length = readSome(this.#readEnd);
      if (length === undefined) return false;
      if (length === 0) return true;
      this.#onData(chunk.subarray(0, length));
    }
    return false;
  }

  closeWriteEnd(): void {
    if (!this.#isWriteEndOpen) return;
    this.#isWriteEndOpen = false;
    closeSync(this.writeEnd);
  }

  /** A FIFO that somebody may still write to is not used again. */
  [Symbol.dispose](): void {
    const isClean = this.#isEnded;
    this.closeWriteEnd();
    this.#socket.destroy();
    this.#giveBack(isClean);
  }
}

/** How many bytes were read into {@link chunk}, 0 at the end; undefined when there are none now. */
function readSome(fd: number): number | undefined {
  try {
    return readSync(fd, chunk, 0, chunk.length, null);
  } catch {
    return undefined; // EAGAIN, or else the socket says what is wrong
  }
}

export class FifoPool implements AsyncDisposable {
  readonly #parent: string;
  #folder: Promise<string> | undefined;
  #free: string[] = [];
  /** Is open already for the next builder: a chain of builders would wait for that at each link. */
  #next: Fifo | undefined;
  #made = 0;
  #making: Promise<void> | undefined;

  /** `parent`: where the private folder of the FIFOs is made when the first one is wanted. */
  constructor(parent: string) {
    this.#parent = parent;
  }

  /** Makes some, so that who takes the first one need not wait. */
  warm(): void {
    if (this.#folder !== undefined) return;
    this.#makeMore().catch(() => undefined); // whoever takes one will be told
  }

  /**
   * Opens a FIFO; `onData` gets what is written into it, in order.
   *
   * @throws KilnError `process.fifo`
   */
  async take(onData: (chunk: Buffer) => void): Promise<Fifo> {
    try {
      const fifo = this.#takeNext() ?? (await this.#makeOne());
      fifo.read(onData);
      if (this.#next === undefined) setImmediate(() => this.#openNext());
      return fifo;
    } catch (error) {
      throw new KilnError("process.fifo", "cannot make a FIFO for a builder's output", {
        kind: "internal",
        hint: "is there room on the store's disk, and is mkfifo (coreutils) installed?",
        cause: error,
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#folder === undefined) return;
    await this.#making?.catch(() => undefined);
    const folder = await this.#folder.catch(() => undefined);
    this.#free = [];
    this.#takeNext()?.[Symbol.dispose]();
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    this.#folder = undefined;
  }

  #takeNext(): Fifo | undefined {
    const fifo = this.#next;
    this.#next = undefined;
    return fifo;
  }

  async #makeOne(): Promise<Fifo> {
    for (;;) {
      const fifo = this.#open();
      if (fifo !== undefined) return fifo;
      await this.#makeMore();
    }
  }

  #openNext(): void {
    try {
      this.#next ??= this.#open();
    } catch {
      // Whoever takes one will be told.
    }
  }

  /** One of those that are there. */
  #open(): Fifo | undefined {
    const path = this.#free.pop();
    if (path === undefined) return undefined;
    try {
      return new Fifo(path, (isClean) => {
        if (isClean) this.#free.push(path);
        else rmSync(path, { force: true });
      });
    } catch (error) {
      // There may be a descriptor for it later; a builder may also have removed it.
      if (existsSync(path)) this.#free.unshift(path);
      throw error;
    }
  }

  #makeMore(): Promise<void> {
    this.#making ??= this.#make().finally(() => (this.#making = undefined));
    return this.#making;
  }

  async #make(): Promise<void> {
    this.#folder ??= mkdtemp(join(this.#parent, "fifo-")).catch((error: unknown) => {
      this.#folder = undefined; // there may be room the next time
      throw error;
    });
    const folder = await this.#folder;
    const paths = Array.from({ length: batch }, () => join(folder, String(++this.#made)));
    // Anybody may write: builders run as other users and open it again as /dev/stdout. The folder is closed to them.
    await promisify(execFile)("mkfifo", ["-m", "0622", ...paths]);
    this.#free.push(...paths);
  }
}
