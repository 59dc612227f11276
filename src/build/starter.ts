/** The daemon's end of `starter.pl`, the small program beside it that starts builders. */
import { Buffer } from "node:buffer";
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { release } from "node:os";
import { fileURLToPath } from "node:url";
import { stringToBytes } from "../util/byte-string.ts";
import { inheritedDescriptors } from "../util/inherited-descriptors.ts";
import { callNumbers } from "./sandbox/guard.ts";

/** Hears what becomes of an order: lines, and `closed <signal>` as the last one. */
export type Hearer = (line: string) => void;

/** Orders more of something that was ordered; nothing happens when that is over. */
export type Order = (word: string, ...rest: readonly string[]) => void;

/** Whether a starter can be had here: Linux 5.3 told the end of a process by a descriptor first. */
export function canStart(): boolean {
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const isNew = major > 5 || (major === 5 && minor >= 3);
  return process.platform === "linux" && isNew && callNumbers()["clone"] !== undefined;
}

const program = fileURLToPath(new URL("starter.pl", import.meta.url));

interface Running {
  readonly child: ChildProcess;
  readonly line: Socket;
  isEnding: boolean;
}

export class Starter implements AsyncDisposable {
  readonly #perl: string;
  readonly #kinds: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #hearers = new Map<string, Hearer>();
  #running: Running | undefined;
  #next = 1;

  /** `kinds`: perl files with orders. `env` is that of all it starts until they become other programs. */
  constructor(perl: string, kinds: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.#perl = perl;
    this.#kinds = kinds;
    this.#env = env;
  }

  /** Starts it, so that the first order need not wait for it. */
  warm(): void {
    if (this.#running !== undefined) return;
    const calls = Object.entries(callNumbers()).flat().join(" ");
    const words = [program, calls, ...this.#kinds];
    const child = spawnClean(this.#perl, words, { LC_ALL: "C", ...this.#env });
    const line = child.stdio[3];
    if (!(line instanceof Socket)) throw new Error("there is no line to the starter");
    const running = { child, line, isEnding: false };
    line.on("error", () => {}); // its end is told by its exit
    readLines(line, (text) => this.#hear(text));
    child.once("error", () => this.#lose(running));
    child.once("close", () => this.#lose(running));
    this.#running = running;
    this.#keepAlive();
  }

  /** Orders something new of this kind. */
  begin(kind: string, words: readonly string[], hear: Hearer): Order {
    this.warm();
    const id = String(this.#next++);
    this.#hearers.set(id, hear);
    this.#keepAlive();
    const order: Order = (word, ...rest) => {
      if (this.#hearers.has(id)) this.#running?.line.write(frame([word, id, ...rest]));
    };
    try {
      order(kind, ...words);
    } catch (error) {
      this.#forget(id);
      throw error;
    }
    return order;
  }

  /** Ends it, and with it whatever it has started. */
  async [Symbol.asyncDispose](): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    running.isEnding = true;
    this.#keepAlive();
    const closed = new Promise((resolve) => running.child.once("close", resolve));
    running.line.end();
    await closed;
  }

  #hear(text: string): void {
    const space = text.indexOf(" ");
    const [id, line] = [text.slice(0, space), text.slice(space + 1)];
    const hear = this.#hearers.get(id);
    if (line.startsWith("closed ")) this.#forget(id);
    hear?.(line);
  }

  #forget(id: string): void {
    this.#hearers.delete(id);
    this.#keepAlive();
  }

  /**
   * Whether it keeps this process from ending: while somebody waits for it. Its program and its line end one after the other, in any
   * order, and each may be what is left to wait for.
   */
  #keepAlive(): void {
    if (this.#running === undefined) return;
    const { child, line, isEnding } = this.#running;
    for (const part of [child, line]) {
      if (isEnding || this.#hearers.size > 0) part.ref();
      else part.unref();
    }
  }

  /** It is gone: so is, or soon will be, what it has started. */
  #lose(running: { readonly child: ChildProcess }): void {
    if (this.#running?.child !== running.child) return;
    this.#running = undefined;
    const hearers = [...this.#hearers.values()];
    this.#hearers.clear();
    for (const hear of hearers) hear("closed 9");
  }
}

function frame(words: readonly string[]): Buffer {
  const body = stringToBytes(words.map((word) => `${word}\0`).join(""));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return Buffer.concat([length, body]);
}

/** Found once: what this process opens itself is never passed on. */
let inherited: readonly number[] | undefined;

/** Starts a program in a session of its own, with a line to it as descriptor 3, and nothing that this process was given without having asked for it. */
export function spawnClean(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  outputs: readonly ["ignore" | number, "inherit" | "pipe"] = ["ignore", "inherit"],
): ChildProcess {
  inherited ??= inheritedDescriptors();
  const stdio: (number | "ignore" | "inherit" | "pipe")[] = ["ignore", ...outputs, "pipe"];
  const nothing = openSync("/dev/null", "r");
  try {
    for (const fd of inherited.filter((number) => number > 3)) {
      while (stdio.length < fd) stdio.push("ignore");
      stdio[fd] = nothing;
    }
    return spawn(file, args, {
      cwd: "/",
      detached: true, // a terminal's Ctrl-C is for the daemon
      env: { NODE_V8_COVERAGE: undefined, ...env },
      stdio,
    });
  } finally {
    closeSync(nothing);
  }
}

/** Calls `onLine` with each line, without its end. */
export function readLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = "";
  stream.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString("latin1")).split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(onLine);
  });
}
