/**
 * syncfs(2) through the program `sync`, for Node has no such call. Starting a program holds up the event loop for
 * milliseconds, the more the larger this process is; so a shell is started once, and starts `sync` for each line it gets.
 */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";

const script = `while read -r _; do if sync -f "$1" 2>/dev/null; then echo done; else echo failed; fi; done`;

type Shell = ChildProcessByStdio<Writable, Readable, null>;

export class FileSystemSync implements Disposable {
  readonly #path: string;
  #shell: Shell | undefined;
  #replies: Interface | undefined;

  /** `path` is any folder of the file system. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Starts the shell, so that the first sync need not wait for it. */
  warm(): void {
    if (process.platform !== "linux" || this.#shell !== undefined) return;
    try {
      this.#running();
      this.#keepAlive(false);
    } catch {
      // No process can be had now. Who needs it gets to know.
    }
  }

  /**
   * Resolves to true when all that was written to the file system before the call is on disk, to false when that could not be
   * had. One call at a time.
   */
  async run(): Promise<boolean> {
    if (process.platform !== "linux") return false;
    const { shell, replies } = this.#running();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const reply = (line: string): void => resolve(line === "done");
    const end = (): void => resolve(false);
    replies.once("line", reply).once("close", end);
    this.#keepAlive(true);
    try {
      shell.stdin.write("\n");
      return await promise;
    } finally {
      replies.off("line", reply).off("close", end);
      this.#keepAlive(false);
    }
  }

  [Symbol.dispose](): void {
    this.#shell?.stdin.end();
    this.#shell = undefined;
  }

  #running(): { shell: Shell; replies: Interface } {
    if (this.#shell !== undefined && this.#replies !== undefined) {
      return { shell: this.#shell, replies: this.#replies };
    }
    const shell = spawn("sh", ["-c", script, "sh", this.#path], {
      stdio: ["pipe", "pipe", "ignore"],
      cwd: "/",
      // Not in the terminal's process group: the interrupt that ends this process must not end a sync it waits for.
      detached: true,
    });
    const replies = createInterface({ input: shell.stdout });
    const forget = (): void => {
      if (this.#shell === shell) this.#shell = undefined;
      replies.close();
    };
    shell.on("error", forget).on("exit", forget);
    // A shell that has ended is noticed by its exit.
    shell.stdin.on("error", () => undefined);
    this.#shell = shell;
    this.#replies = replies;
    return { shell, replies };
  }

  /** Whether the shell keeps this process from ending. */
  #keepAlive(wanted: boolean): void {
    const shell = this.#shell;
    if (shell === undefined) return;
    for (const part of [shell, shell.stdin, shell.stdout]) {
      if (!("ref" in part) || typeof part.ref !== "function") continue;
      if (!("unref" in part) || typeof part.unref !== "function") continue;
      if (wanted) part.ref();
      else part.unref();
    }
  }
}
