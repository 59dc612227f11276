/** `kiln build --watch`: builds again whenever something changes that the build files were made of. */
import { type FSWatcher, statSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { CommandContext } from "../context.ts";
import { errorLines, ExitWith, toKilnError } from "../errors.ts";
import { exitCodeOfSignal } from "../interrupts.ts";
import { targetsByFile } from "../wanted.ts";
import { findBuildFile } from "../../author/evaluate.ts";
import type { Operand } from "../operands.ts";
import type { Evaluated, Run } from "./run.ts";

/** Milliseconds that nothing more must happen in before a build begins: editors write in several steps. */
const quiet = 100;

/**
 * Builds, and builds again after each change, until a signal ends it. What goes wrong is said, and the next change is waited for.
 * Gives the exit code.
 */
export async function watchBuilds(
  operands: readonly string[],
  named: readonly Operand[],
  {
    makeRun,
    context,
  }: {
    readonly makeRun: (evaluated: (found: Evaluated) => boolean) => Run;
    readonly context: CommandContext;
  },
): Promise<number> {
  /** Also where the evaluation fails, the build files themselves are watched. */
  let files = [...targetsByFile(named).keys()].flatMap(buildFiles);
  /** What was built last, if that succeeded. */
  let built = "";
  for (;;) {
    const changes = new Changes(files);
    using _watching = changes;
    let wanted = "";
    const run = makeRun((found) => {
      files = [...new Set(found.files)].filter((file) => !file.includes("/node_modules/"));
      changes.alsoOf(files);
      wanted = found.drvPaths.join();
      return wanted !== built;
    });
    using _handling = context.interrupts.handle((signal) => {
      run.interrupt(signal);
      changes.end();
    });
    const code = await ended(run, operands, context);
    if (run.interruptedBy !== undefined) return exitCodeOfSignal(run.interruptedBy);
    if (wanted !== built || code !== 0) context.note("waiting for changes (Ctrl-C ends)");
    built = code === 0 ? wanted : "";
    await changes.next();
    if (run.interruptedBy !== undefined) return exitCodeOfSignal(run.interruptedBy);
  }
}

/** The exit code of a run; what is thrown is said. */
async function ended(
  run: Run,
  operands: readonly string[],
  { program }: CommandContext,
): Promise<number> {
  try {
    return await run.toEnd(operands);
  } catch (error) {
    if (!(error instanceof ExitWith)) {
      for (const line of errorLines(toKilnError(error), { program }))
        process.stderr.write(`${line}\n`);
    }
    return 1;
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
