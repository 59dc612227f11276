/** Sandboxed builds for tests: in each of the modes in which a daemon may run. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { removeTree } from "../../src/files/remove-tree.ts";
import type {
  BenchBuild,
  BenchCall,
  BenchOptions,
  BenchReport,
  ObjectContent,
} from "./sandbox-bench.ts";

/** A way in which a daemon may be run. */
export interface DaemonMode {
  readonly name: string;
  /** Who runs it, when that is not who runs the tests. */
  readonly runAs?: number;
  /** Starts it: a program with its arguments. */
  readonly through?: readonly string[];
  readonly options: BenchOptions;
  /** Who outputs belong to. */
  readonly owner: (uid: number) => boolean;
}

const nobody = 65534;
/** Build users need no entry anywhere. */
const buildUser = { uid: 52001, gid: 52002 };

const asRoot: readonly DaemonMode[] = [
  {
    name: "as root with build users",
    options: { user: buildUser },
    owner: (uid) => uid === buildUser.uid,
  },
  { name: "as root without build users", options: {}, owner: (uid) => uid >= 1879048192 },
  { name: "as a plain user", runAs: nobody, options: {}, owner: (uid) => uid === nobody },
];

/** All there are for whoever runs the tests: root can be a plain user, too. */
export const daemonModes: readonly DaemonMode[] =
  process.getuid?.() === 0
    ? asRoot
    : [{ name: "as a plain user", options: {}, owner: (uid) => uid === process.getuid?.() }];

/** As on machines without perl. Without user namespaces it is a shell, too. */
export const shellModes: readonly DaemonMode[] = daemonModes.map((mode) => ({
  ...mode,
  name: `${mode.name}, by a shell`,
  options: { ...mode.options, without: ["guard"] },
}));

export class Bench implements AsyncDisposable {
  readonly folder: string;
  readonly process: ChildProcess;
  readonly #answers = new Map<number, (result: unknown) => void>();
  #calls = 0;
  #limitedBy = "";
  #errors = "";

  private constructor(folder: string, child: ChildProcess) {
    this.folder = folder;
    this.process = child;
    child.stderr?.on("data", (chunk: Buffer) => (this.#errors += chunk.toString()));
  }

  /** A folder for a bench. */
  static newFolder(mode: DaemonMode): string {
    return newFolder(mode);
  }

  /** `folder`: one of an earlier bench, to be used again. */
  static async open(mode: DaemonMode, options: BenchOptions = {}, folder?: string): Promise<Bench> {
    const place = folder ?? newFolder(mode);
    const bench = fileURLToPath(new URL("sandbox-bench.ts", import.meta.url));
    const user =
      mode.runAs === undefined
        ? []
        : ["setpriv", `--reuid=${mode.runAs}`, `--regid=${mode.runAs}`, "--clear-groups", "--"];
    const text = JSON.stringify({ ...mode.options, ...options });
    const words = [
      ...user,
      ...(mode.through ?? []),
      process.execPath,
      "--disable-warning=ExperimentalWarning",
      bench,
      place,
      text,
    ];
    const child = spawn(words[0] ?? "", words.slice(1), {
      stdio: ["pipe", "pipe", "pipe"],
      env: { PATH: process.env["PATH"], HOME: place, TMPDIR: place },
    });
    const opened = new Bench(place, child);
    await opened.#start();
    return opened;
  }

  /** What enforces limits of memory and processes. */
  get limitedBy(): string {
    return this.#limitedBy;
  }

  /** Runs a builder. */
  async build(build: BenchBuild): Promise<BenchReport> {
    return (await this.call({ type: "build", build })) as BenchReport;
  }

  /** Puts an object into the store; its logical path. */
  async object(name: string, content: ObjectContent): Promise<string> {
    return (await this.call({ type: "object", name, content })) as string;
  }

  async call(call: BenchCall): Promise<unknown> {
    // Nothing would ever answer.
    if (this.process.exitCode !== null || this.process.signalCode !== null) {
      throw new Error(`the bench has ended: ${this.#errors}`);
    }
    const id = ++this.#calls;
    this.process.stdin?.write(`${JSON.stringify({ id, call })}\n`);
    return await new Promise((resolve, reject) => {
      this.#answers.set(id, resolve);
      this.process.once("exit", () => reject(new Error(`the bench ended: ${this.#errors}`)));
    });
  }

  /** Kills it as `kill -9` does. */
  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const gone = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await gone;
  }

  /** Ends it in order. */
  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const gone = once(this.process, "exit");
    this.process.stdin?.end();
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A test that failed may have left builds running.
    if (this.#answers.size > 0) await this.kill();
    await this.stop();
    await removeTree(this.folder);
  }

  async #start(): Promise<void> {
    const lines = createInterface({ input: this.process.stdout! });
    const ready = Promise.withResolvers<void>();
    lines.on("line", (line) => {
      const message = JSON.parse(line) as { id?: number; result?: unknown; limitedBy?: string };
      if (message.id === undefined) {
        this.#limitedBy = message.limitedBy ?? "";
        ready.resolve();
      } else {
        this.#answers.get(message.id)?.(message.result);
        this.#answers.delete(message.id);
      }
    });
    this.process.setMaxListeners(0);
    this.process.once("exit", () => ready.reject(new Error(`no bench: ${this.#errors}`)));
    await ready.promise;
  }
}

function newFolder(mode: DaemonMode): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "kiln-sandbox-")));
  chmodSync(folder, 0o755);
  if (mode.runAs !== undefined) chownSync(folder, mode.runAs, mode.runAs);
  return folder;
}

/** Processes with this text in their environment. */
export function processesWith(text: string): number[] {
  return readdirSync("/proc")
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, "latin1").includes(text);
      } catch {
        return false; // gone, or hidden from us
      }
    })
    .map(Number);
}

/** Waits until `holds`; how long that took, in milliseconds. */
export async function waitUntil(holds: () => boolean, patience = 10_000): Promise<number> {
  const start = performance.now();
  while (!holds()) {
    if (performance.now() - start > patience)
      throw new Error(`not within ${patience} ms: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return performance.now() - start;
}
