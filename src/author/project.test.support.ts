/** Projects with build files, for tests. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { defaultStoreDirectory } from "../format/store-path.ts";
import { evaluate, type EvaluateOptions, type Evaluation } from "./evaluate.ts";
import { EvaluationError } from "./evaluation-error.ts";

/**
 * Projects take turns in the same folders: what a folder's cache knows of Kiln's own modules then serves all of them, and a child
 * starts in a third of the time.
 */
const base = mkdtempSync(join(realpathSync(tmpdir()), "kiln-project-"));
process.once("exit", () => rmSync(base, { recursive: true, force: true }));
const slots: string[] = [];
let made = 0;

export interface Project extends AsyncDisposable {
  /** Absolute, without symlinks. */
  readonly path: string;
  evaluate(options?: Partial<EvaluateOptions>): Promise<Evaluation>;
  /** What is wrong with the project, as its user is told; file names are relative to the project. */
  failure(options?: Partial<EvaluateOptions>): Promise<ToldFailure>;
}

export interface ToldFailure {
  readonly code: string;
  readonly message: string;
  readonly at: string | undefined;
  readonly hint: string | undefined;
  readonly excerpt: readonly string[];
  readonly frames: readonly string[];
}

/** A folder with these files, by relative path; `build` is the text of `kiln.build.ts`. A value `-> x` makes a symlink. */
export async function project(
  build: string,
  files: Readonly<Record<string, string>> = {},
): Promise<Project> {
  const path = slots.pop() ?? join(base, String(made++));
  const write = (name: string, content: string): void => {
    const file = join(path, "project", name);
    mkdirSync(dirname(file), { recursive: true });
    if (content.startsWith("-> ")) symlinkSync(content.slice(3), file);
    else writeFileSync(file, content);
  };
  if (build !== "") write("kiln.build.ts", build);
  for (const [name, content] of Object.entries(files)) write(name, content);
  const start = (options: Partial<EvaluateOptions> = {}): Promise<Evaluation> =>
    evaluate({
      file: join(path, "project"),
      targets: [""],
      storeDirectory: defaultStoreDirectory,
      args: {},
      allowEnv: [],
      cacheDirectory: join(path, "cache"),
      system: "x86_64-linux",
      ...options,
    });
  const relative = (text: string): string => text.replaceAll(`${path}/project/`, "");
  return {
    path: join(path, "project"),
    evaluate: start,
    failure: async (options) => {
      const error = await failureOf(start(options));
      return {
        code: error.code,
        message: relative(error.message),
        at: error.at && relative(error.at),
        hint: error.hint && relative(error.hint),
        excerpt: error.excerpt,
        frames: error.frames.map(relative),
      };
    },
    [Symbol.asyncDispose]: async () => {
      rmSync(join(path, "project"), { recursive: true });
      slots.push(path);
    },
  };
}

async function failureOf(started: Promise<Evaluation>): Promise<EvaluationError> {
  try {
    await using _evaluation = await started;
  } catch (error) {
    assert.ok(error instanceof EvaluationError, String(error));
    return error;
  }
  return assert.fail("the evaluation succeeded");
}
