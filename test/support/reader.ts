/**
 * A reader of the documents: a machine in a world of its own with a checkout, where commands are given, a PATH with kiln, node and
 * zb, and a registry for what is installed.
 */
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { type Block, commandsOf, isShown, root } from "./document.ts";
import { zb } from "./peers.ts";
import { npmCache, registryProgram } from "./registry.ts";
import { screenAfter } from "./terminal-screen.ts";
import { kilnProgram, World } from "./world.ts";

const columns = 110;
/** Milliseconds for a block, and for one that goes on to say that it is ready. */
export const limit = 240_000;

/** Whatever a document installs stays in its world; and there is no systemd. */
const ownPlaces = `
  cp -a /etc etc 2>/dev/null || : # a plain user may not read all of it
  mount --bind etc /etc
  mount --bind /usr/local /usr/local
  mount -o remount,bind,ro /usr/local
  if [ -d /run/systemd ]; then mount -t tmpfs tmpfs /run/systemd; fi`;

/** What is made from the others. */
const made = ["dist", "node_modules"];
/** What documents change, even where they only look at the rest. */
const changed = ["examples", "packaging"];

/** Whether this block installs the checkout. */
export function installs(block: Block): boolean {
  return commandsOf(block).includes("npm ci");
}

/** Whether these blocks need a checkout of their own, whole. */
export function needsCheckout(blocks: readonly Block[]): boolean {
  const ours = blocks.filter(({ runBy }) => runBy === undefined);
  return ours.flatMap(commandsOf).some((command) => /^npm (?:ci$|run )/.test(command));
}

export class Reader implements AsyncDisposable {
  readonly #world: World;
  #going: ChildProcess | undefined;
  /** Its address. */
  #registry: string | undefined;

  private constructor(world: World, blocks: readonly Block[]) {
    this.#world = world;
    mkdirSync(this.#checkout);
    const isBare = blocks.some(installs);
    const isWhole = needsCheckout(blocks);
    for (const part of readdirSync(root)) {
      if (part === ".git" || (isBare && made.includes(part))) continue;
      const [here, there] = [join(root, part), join(this.#checkout, part)];
      if (part !== "node_modules" && (isWhole || changed.includes(part))) copy(here, there);
      else symlinkSync(here, there);
    }
    const programs = join(world.directory, "programs");
    mkdirSync(programs);
    symlinkSync(kilnProgram, join(programs, "kiln"));
    symlinkSync(join(root, "node_modules/.bin/node"), join(programs, "node"));
    if (zb !== undefined) symlinkSync(zb, join(programs, "zb"));
  }

  /** `blocks`: what he is going to do. */
  static async arrive(blocks: readonly Block[]): Promise<Reader> {
    const world = await World.open();
    const { code, stderr } = await world.run("sh", ["-ec", ownPlaces]);
    assert.equal(code, 0, stderr);
    const reader = new Reader(world, blocks);
    if (blocks.some(installs)) await reader.#openRegistry();
    return reader;
  }

  async #openRegistry(): Promise<void> {
    const child = this.#world.spawn(process.execPath, [registryProgram, npmCache]);
    const [said] = (await once(child.stdout!, "data")) as [Buffer];
    this.#registry = said.toString().trim();
  }

  get #checkout(): string {
    return join(this.#world.directory, "kiln");
  }

  #options({ isBrief }: Block): {
    readonly cwd: string;
    readonly env: Record<string, string>;
    readonly timeout: number;
  } {
    const env = {
      PATH: `${this.#world.directory}/programs:${process.env["PATH"]}`,
      TERM: "xterm-256color",
      LANG: "C.UTF-8",
      NO_UPDATE_NOTIFIER: "1",
      ...(this.#registry === undefined ? {} : { npm_config_registry: this.#registry }),
      ...(zb === undefined ? {} : { ZB: zb }),
      ...(isBrief ? { KILN_BRIEF: "1" } : {}),
    };
    return { cwd: this.#checkout, env, timeout: limit };
  }

  /** Runs a block to its end. */
  async run(block: Block): Promise<void> {
    const { commands, exit, shown } = block;
    if (shown !== undefined) return await this.#runOnTerminal(block, shown);
    const strict = exit === 0 ? "-eo pipefail" : "";
    const script = `set ${strict} --\n${commands}`;
    const ended = await this.#world.run("bash", ["-c", script], this.#options(block));
    const said = `${ended.stdout.toString()}${ended.stderr}`;
    assert.equal(
      ended.code,
      exit,
      `${commands}\nended with ${ended.code ?? ended.signal}:\n${said}`,
    );
  }

  /** As {@link run}, for a block that tells what is shown. */
  async #runOnTerminal(block: Block, shown: readonly string[]): Promise<void> {
    const { commands, exit } = block;
    const script = `stty cols ${columns} rows 50; ${exit === 0 ? "set -e" : ""}\n${commands}`;
    const words = ["-qefc", `exec bash -c ${quoted(script)}`, "/dev/null"];
    const ended = await this.#world.run("script", words, this.#options(block));
    const lines = await screenAfter(ended.stdout, columns);
    assert.equal(ended.code, exit, lines.join("\n"));
    assert.ok(
      isShown(shown, lines),
      `shown is\n${lines.join("\n")}\nand the document has\n${shown.join("\n")}`,
    );
  }

  /** Starts what goes on until the reader starts another or leaves, and waits until it has written the text. */
  async start(block: Block, text: string): Promise<void> {
    await this.#stop();
    const commands = block.commands.trim();
    const child = this.#world.spawn("bash", ["-c", `exec ${commands}`], this.#options(block));
    this.#going = child;
    let said = "";
    const ready = new Promise<void>((resolve) => {
      for (const stream of [child.stdout!, child.stderr!]) {
        stream.on("data", (chunk: Buffer) => {
          said += chunk.toString();
          if (said.includes(text)) resolve();
        });
      }
    });
    const late = AbortSignal.timeout(limit);
    const ended = once(child, "close", { signal: late }).catch(() => {});
    await Promise.race([ready, ended]);
    assert.ok(said.includes(text), `${commands} did not say “${text}” but:\n${said}`);
  }

  async #stop(): Promise<void> {
    const child = this.#going;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGTERM");
    await gone;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    await this.#world[Symbol.asyncDispose]();
  }
}

function copy(from: string, to: string): void {
  const filter = (path: string): boolean => !/\/docs\/(?:node_modules|pages)$/.test(path);
  cpSync(from, to, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true, filter });
}

/** A text as one word of sh. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
