/** `kiln build --watch`: builds again whenever something changes that the build files were made of. */
import { type FSWatcher, statSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { CommandContext } from "../context.ts";
import { errorLines, ExitWith, toKilnError } from "../errors.ts";
import { exitCodeOfSignal } from "../interrupts.ts";
import { targetsByFile } from "../wanted.ts";
import { findBuildFile } from "../../author/evaluate.ts";
import type { Operand } from "../operands.ts";
import type { Run } from "./run.ts";

/** Milliseconds that nothing more must happen in before a build begins: editors write in several steps. */
const quiet = 100;

/**
 * Builds, and builds again after each change, until a signal ends it. What goes wrong is said, and the next change is waited for.
 * Gives the exit code.
 */
export async function watchBuilds(
  operands: readonly string[],
  named: readonly Operand[],
  { makeRun, context }: { readonly makeRun: () => Run; readonly context: CommandContext },
): Promise<number> {
  /** Also where the evaluation fails, the build files themselves are watched. */
  let files = [...targetsByFile(named).keys()].flatMap(buildFiles);
  let built = "";
  for (;;) {
    const run = makeRun();
    const changes = new Changes(files);
    using _watching = changes;
    using _handling = context.interrupts.handle((signal) => {
      run.interrupt(signal);
      changes.end();
    });
    try {
      await run.toEnd(operands);
    } catch (error) {
      if (error instanceof ExitWith) return error.code;
      for (const line of errorLines(toKilnError(error))) process.stderr.write(`${line}\n`);
    }
    if (run.interruptedBy !== undefined) return exitCodeOfSignal(run.interruptedBy);
    if (run.readFiles.length > 0) {
      files = [...new Set(run.readFiles)].filter((file) => !file.includes("/node_modules/"));
      changes.alsoOf(files);
    }
    const now = run.drvPaths.join();
    if (now !== built || run.readFiles.length === 0)
      context.note("waiting for changes (Ctrl-C ends)");
    built = now;
    await changes.next();
    if (run.interruptedBy !== undefined) return exitCodeOfSignal(run.interruptedBy);
  }
}

function buildFiles(place: string): string[] {
  try {
    return [findBuildFile(place)];
  } catch {
    return [];
  }
}

/** Tells when one of some files, or something in some folders, changes. */
class Changes implements Disposable {
  readonly #watchers: FSWatcher[] = [];
  readonly #watched = new Set<string>();
  readonly #changed = Promise.withResolvers<void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(files: readonly string[]) {
    this.alsoOf(files);
  }

  alsoOf(files: readonly string[]): void {
    const folders = files.filter(isFolder);
    for (const folder of folders) this.#watch(folder, { recursive: true }, () => true);
    // A file is watched in its folder: editors put a new one in its place.
    const inFolder = Map.groupBy(
      files.filter((file) => !isFolder(file)),
      dirname,
    );
    for (const [folder, own] of inFolder) {
      const names = new Set(own.map((file) => basename(file)));
      this.#watch(folder, { recursive: false }, (name) => names.has(name));
    }
  }

  /** Resolves after the first change since this was made, or after {@link end}. */
  async next(): Promise<void> {
    await this.#changed.promise;
  }

  end(): void {
    this.#changed.resolve();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const watcher of this.#watchers) watcher.close();
  }

  #watch(
    folder: string,
    { recursive }: { readonly recursive: boolean },
    isMeant: (name: string) => boolean,
  ): void {
    const key = `${folder} ${recursive}`;
    if (this.#watched.has(key)) return;
    this.#watched.add(key);
    try {
      const watcher = watch(folder, { recursive }, (_, name) => {
        if (
          name !== null &&
          (!isMeant(name) || /(?:^|\/)(?:node_modules|\.git)(?:\/|$)/.test(name))
        )
          return;
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.end(), quiet);
      });
      watcher.on("error", () => this.end()); // the folder is gone: look again
      this.#watchers.push(watcher);
    } catch {
      // It is gone already: the next evaluation says so.
    }
  }
}

function isFolder(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() === true;
}
