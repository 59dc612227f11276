/** A plain user with a home, who runs `kiln`: whoever runs the tests, or nobody where that is root. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { removeTree } from "../../src/files/remove-tree.ts";
import { type Ended, kilnProgram } from "./world.ts";

const nobody = 65534;
const isRoot = process.getuid?.() === 0;

export class PlainUser implements AsyncDisposable {
  readonly home: string = realpathSync(mkdtempSync(join(tmpdir(), "kiln-user-")));

  constructor() {
    chmodSync(this.home, 0o755);
    this.#give(this.home);
  }

  /** Writes a file in the home. */
  write(name: string, text: string): string {
    const path = join(this.home, name);
    const folder = dirname(path);
    mkdirSync(folder, { recursive: true });
    this.#give(folder);
    writeFileSync(path, text);
    this.#give(path);
    return path;
  }

  /** Runs `kiln` in the home, or another folder; `through`: a program that starts it, with its arguments. */
  async run(
    args: readonly string[],
    options: { readonly cwd?: string; readonly through?: readonly string[] } = {},
  ): Promise<Ended> {
    const child = this.#spawn(args, options);
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    await once(child, "close");
    const { exitCode: code, signalCode: signal } = child;
    return { code, signal, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() };
  }

  /** Starts `kiln` in the home, to be ended with SIGTERM. */
  start(args: readonly string[]): { stderr(): string; end(): Promise<void> } {
    const child = this.#spawn(args, {});
    let err = "";
    child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
    child.stdout.resume();
    return {
      stderr: () => err,
      end: async () => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = once(child, "exit");
        child.kill();
        await gone;
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeTree(this.home);
  }

  #spawn(
    args: readonly string[],
    options: { readonly cwd?: string; readonly through?: readonly string[] },
  ): ChildProcessByStdio<null, Readable, Readable> {
    // With the groups of a login: the user's own is one of them.
    const asUser = isRoot
      ? ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, `--groups=${nobody},4`, "--"]
      : [];
    const words = [...asUser, ...(options.through ?? []), kilnProgram, ...args];
    return spawn(words[0] ?? "", words.slice(1), {
      cwd: options.cwd ?? this.home,
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env["PATH"], HOME: this.home, TMPDIR: this.home, LANG: "C.UTF-8" },
    });
  }

  #give(path: string): void {
    if (isRoot) chownSync(path, nobody, nobody);
  }
}

/** Starts a program as on a machine that forbids namespaces. */
export const withoutNamespaces: readonly string[] = [
  "unshare",
  "--user",
  "--map-root-user",
  "sh",
  "-c",
  'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"',
  "sh",
];
