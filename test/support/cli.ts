/**
 * A place for whole runs of the command: a project folder, a store directory, a temporary folder and a home of its own. Nothing in
 * it touches the machine's store, and what a run leaves behind can be seen.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { removeTree } from "../../src/files/remove-tree.ts";
import { type Ended, kilnProgram } from "./world.ts";

export interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input?: string | Buffer;
  /** A program that is to run it, with its first arguments: `kiln` and its own follow. */
  readonly through?: readonly string[];
}

/** A run that goes on. */
export interface Started {
  readonly process: ChildProcess;
  stdout(): string;
  stderr(): string;
  readonly ended: Promise<Ended>;
}

export class Place implements AsyncDisposable {
  readonly directory: string = mkdtempSync(join(tmpdir(), "kiln-cli-"));
  readonly project: string = join(this.directory, "project");
  readonly store: string = join(this.directory, "store");
  readonly socket: string = join(this.directory, "var/kiln/server.sock");
  readonly #temporary = join(this.directory, "tmp");
  readonly #running = new Set<ChildProcess>();

  constructor() {
    mkdirSync(this.project);
    mkdirSync(this.#temporary);
  }

  /** Writes a file of the project. */
  write(name: string, text: string): string {
    const path = join(this.project, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  }

  /** Starts `kiln` in the project. */
  start(args: readonly string[], options: RunOptions = {}): Started {
    const [program = kilnProgram, ...before] = options.through ?? [];
    const words = options.through === undefined ? args : [...before, kilnProgram, ...args];
    const child = spawn(program, words, {
      cwd: this.project,
      stdio: ["pipe", "pipe", "pipe"],
      env: {
        PATH: process.env["PATH"],
        HOME: join(this.directory, "home"),
        TMPDIR: this.#temporary,
        ZB_STORE_DIR: this.store,
        LANG: "C.UTF-8",
        ...options.env,
      },
    });
    this.#running.add(child);
    child.once("exit", () => this.#running.delete(child));
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    child.stdin.on("error", () => {}); // a command may end without reading its input
    child.stdin.end(options.input);
    const stdout = (): Buffer => Buffer.concat(out);
    const stderr = (): string => Buffer.concat(err).toString();
    const ended = once(child, "close").then(() => ({
      code: child.exitCode,
      signal: child.signalCode,
      stdout: stdout(),
      stderr: stderr(),
    }));
    return { process: child, stdout: () => stdout().toString(), stderr, ended };
  }

  /** Runs `kiln` in the project to its end. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return await this.start(args, options).ended;
  }

  /** Starts a daemon on this place's store and waits until it listens. */
  async serve(flags: readonly string[] = [], options: RunOptions = {}): Promise<Started> {
    const daemon = this.start(
      ["serve", "--sandbox=false", "--build-users-group=", ...flags],
      options,
    );
    await until(daemon, () => daemon.stderr().includes("Listening on"));
    return daemon;
  }

  /** Temporary things in the machine's and the store's places for them, in the project, and processes' build directories. */
  leftovers(): string[] {
    const inStore = join(this.store, ".kiln/tmp");
    const parts = readdirSync(this.project).filter((name) => /\.part$|^result/.test(name));
    return [
      ...readdirSync(this.#temporary).filter((name) => name !== "node-compile-cache"),
      ...(existsSync(inStore) ? readdirSync(inStore) : []),
      ...parts,
    ];
  }

  /** Names of the objects in the store directory. */
  objects(): string[] {
    if (!existsSync(this.store)) return [];
    return readdirSync(this.store).filter((name) => name !== ".kiln");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#running) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await removeTree(this.directory); // also what a plain user cannot simply remove: read-only folders of a store
  }
}

/** Waits for something a run says or does; fails when the run ends before. */
export async function until(run: Started, claim: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!claim()) {
    const over = run.process.exitCode !== null || run.process.signalCode !== null;
    if (over || performance.now() > deadline) {
      throw new Error(`waited in vain (ended: ${over}):\n${run.stdout()}\n${run.stderr()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** What the host's shell and its tools need. */
export const hostFolders: readonly string[] = ["/bin", "/usr", "/lib", "/lib64"].filter((path) =>
  existsSync(path),
);

/** A build file whose builders are shell scripts, by target; `default` is the default target. */
export function shellTargets(scripts: Readonly<Record<string, string>>): string {
  const targets = Object.entries(scripts).map(([name, script]) => {
    const target = `derivation({ ...shell, name: ${JSON.stringify(name)}, args: ["-c", ${JSON.stringify(script)}] })`;
    return name === "default"
      ? `export default ${target.replace('"default"', '"main"')};`
      : `export const ${name} = ${target};`;
  });
  return `import { derivation } from "kiln-store";
const shell = { builder: "/bin/sh", systemDeps: ${JSON.stringify(hostFolders)}, env: { PATH: "/bin:/usr/bin" } };
${targets.join("\n")}
`;
}
