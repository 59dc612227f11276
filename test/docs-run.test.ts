// The commands of the documents are run, each document from its beginning to its end in a world and a checkout of its own.
import assert from "node:assert/strict";
import { type ChildProcess, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  type Block,
  blocksOf,
  documents,
  isShown,
  readDocument,
  root,
} from "./support/document.ts";
import { needsZb, zb } from "./support/peers.ts";
import { screenAfter } from "./support/terminal-screen.ts";
import { kilnProgram, needsWorld, World } from "./support/world.ts";

const columns = 110;
/** Milliseconds for a block, and for one that goes on to say that it is ready. */
const limit = 60_000;

/** Why a program cannot be run, or false. */
function isMissing(program: string): string | false {
  if (program === "zb") return needsZb;
  const { status } = spawnSync("sh", ["-c", `command -v ${program}`]);
  return status !== 0 && `${program} is not here`;
}

/** Whatever a document installs stays in its world; and there is no systemd. */
const ownPlaces = `
  cp -a /etc etc 2>/dev/null || : # a plain user may not read all of it
  mount --bind etc /etc
  mount --bind /usr/local /usr/local
  mount -o remount,bind,ro /usr/local
  if [ -d /run/systemd ]; then mount -t tmpfs tmpfs /run/systemd; fi`;

/** A reader's machine: a checkout, where commands are given, and a PATH with kiln, node and zb. */
class Reader implements AsyncDisposable {
  readonly #world: World;
  #going: ChildProcess | undefined;

  private constructor(world: World) {
    this.#world = world;
    mkdirSync(this.#checkout);
    for (const part of ["bin", "dist", "node_modules", "package.json", "test", "src"]) {
      symlinkSync(join(root, part), join(this.#checkout, part));
    }
    for (const part of ["examples", "packaging"]) {
      cpSync(join(root, part), join(this.#checkout, part), { recursive: true });
    }
    const programs = join(world.directory, "programs");
    mkdirSync(programs);
    symlinkSync(kilnProgram, join(programs, "kiln"));
    symlinkSync(join(root, "node_modules/.bin/node"), join(programs, "node"));
    if (zb !== undefined) symlinkSync(zb, join(programs, "zb"));
  }

  static async arrive(): Promise<Reader> {
    const world = await World.open();
    const { code, stderr } = await world.run("sh", ["-ec", ownPlaces]);
    assert.equal(code, 0, stderr);
    return new Reader(world);
  }

  get #checkout(): string {
    return join(this.#world.directory, "kiln");
  }

  #options(): { cwd: string; env: Record<string, string>; timeout: number } {
    const PATH = `${this.#world.directory}/programs:${process.env["PATH"]}`;
    const env = { PATH, TERM: "xterm-256color", LANG: "C.UTF-8", NO_UPDATE_NOTIFIER: "1" };
    return { cwd: this.#checkout, env, timeout: limit };
  }

  /** Runs a block to its end. */
  async run({ commands, exit, shown }: Block): Promise<void> {
    if (shown !== undefined) return await this.#runOnTerminal(commands, exit, shown);
    const strict = exit === 0 ? "-eo pipefail" : "";
    const script = `set ${strict} --\n${commands}`;
    const ended = await this.#world.run("bash", ["-c", script], this.#options());
    const said = `${ended.stdout.toString()}${ended.stderr}\n${hint}`;
    assert.equal(
      ended.code,
      exit,
      `${commands}\nended with ${ended.code ?? ended.signal}:\n${said}`,
    );
  }

  /** As {@link run}, for a block that tells what is shown. */
  async #runOnTerminal(commands: string, exit: number, shown: readonly string[]): Promise<void> {
    const script = `stty cols ${columns} rows 50; ${exit === 0 ? "set -e" : ""}\n${commands}`;
    const words = ["-qefc", `exec bash -c ${quoted(script)}`, "/dev/null"];
    const ended = await this.#world.run("script", words, this.#options());
    const lines = await screenAfter(ended.stdout, columns);
    assert.equal(ended.code, exit, lines.join("\n"));
    assert.ok(
      isShown(shown, lines),
      `shown is\n${lines.join("\n")}\nand the document has\n${shown.join("\n")}`,
    );
  }

  /** Starts what goes on until the reader starts another or leaves, and waits until it has written the text. */
  async start(commands: string, text: string): Promise<void> {
    await this.#stop();
    const child = this.#world.spawn("bash", ["-c", `exec ${commands}`], this.#options());
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

const hint = "(what cannot be run here is marked in the document: <!-- not run: REASON -->)";

/** A text as one word of sh. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** Tests that run the blocks of a document, one after the other. */
function runDocument(document: string, blocks: readonly Block[]): void {
  describe(document, { skip: needsWorld, concurrency: 1 }, () => {
    let reader: Reader;
    before(async () => {
      reader = await Reader.arrive();
    });
    after(async () => await reader[Symbol.asyncDispose]());
    for (const block of blocks) {
      const skip = block.notRun ?? (block.needs !== undefined && isMissing(block.needs));
      const { line, kind, commands, goesOn } = block;
      const [first = ""] = commands.split("\n");
      const what = kind === "hidden" ? "runs what is not shown" : `runs ${first}`;
      test(`line ${line} ${what}`, { skip, timeout: limit + 10_000 }, async () => {
        if (goesOn === undefined) await reader.run(block);
        else await reader.start(commands.trim(), goesOn);
      });
    }
  });
}

const all = documents
  .map((document) => ({ document, blocks: blocksOf(readDocument(document)) }))
  .filter(({ blocks }) => blocks.length > 0);

// Two at a time: much of it is waiting for processes to begin.
describe("the documents", { concurrency: 2 }, () => {
  for (const { document, blocks } of all) runDocument(document, blocks);
});

test("the documents' commands are found, and most of them are run", () => {
  const blocks = all.flatMap((each) => each.blocks);
  const run = blocks.filter(({ notRun }) => notRun === undefined);
  assert.ok(run.length > 40 && run.length > 2 * (blocks.length - run.length), `${run.length}`);
});
