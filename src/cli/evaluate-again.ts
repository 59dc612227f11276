/** Finds what a build file takes from the machine without saying so: it is evaluated elsewhere, and must describe the same. */
import { constants, cpSync, existsSync, realpathSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, sep } from "node:path";
import { evaluate, type Evaluation, findBuildFile } from "../author/evaluate.ts";
import { temporaryDirectory } from "../util/temp.ts";
import type { CommandContext } from "./context.ts";
import type { Settings } from "./settings.ts";
import { type EvaluationFlags, evaluationOptions, readOperands, targetsByFile } from "./wanted.ts";

/** A derivation that is another one elsewhere. */
export interface Difference {
  readonly name: string;
  readonly first: string;
  readonly second: string;
}

/** As far from UTC and English as possible: a day ahead, and with an `i` that has no capital `I`. */
const surroundings = { timeZone: "Pacific/Kiritimati", locale: "tr_TR.UTF-8" };

/** Folders that the copy of a project does without, or shares. */
const heavy = new Set([".git", "node_modules"]);

/** Evaluates what the operands name here, and in a copy of each project, in another time zone and locale. */
export async function evaluateAgain(
  operands: readonly string[],
  flags: EvaluationFlags,
  settings: Settings,
  context: CommandContext,
): Promise<Difference[]> {
  const differences: Difference[] = [];
  for (const [file, names] of targetsByFile(readOperands(operands, flags))) {
    const targets = [...names];
    const common = evaluationOptions(flags, settings, context);
    await using first = await evaluate({ ...common, file, targets });
    await using scratch = await temporaryDirectory(realpathSync(tmpdir()), "kiln-twice-");
    const copy = copyOf(findBuildFile(file), first, scratch.path);
    if (copy === undefined) {
      context.note(`${file} reads files outside of its folder: evaluated again where it is`);
    }
    await using second = await evaluate({
      ...common,
      file: copy ?? file,
      targets,
      cacheDirectory: join(scratch.path, "cache"),
      surroundings,
    });
    differences.push(...differencesOf(first, second));
  }
  return differences;
}

/** Whether it is a part of an installed package, which the copy shares. */
function isShared(path: string): boolean {
  return path.split(sep).includes("node_modules");
}

/** The build file in a copy of its folder; undefined when it needs more than that folder. */
function copyOf(
  file: string,
  { modules, filesRead }: Evaluation,
  place: string,
): string | undefined {
  const folder = dirname(file);
  const isInside = (path: string): boolean => !relative(folder, path).startsWith("..");
  if (![...modules, ...filesRead].every((path) => isInside(path) || isShared(path)))
    return undefined;
  const copy = join(place, "elsewhere");
  cpSync(folder, copy, {
    recursive: true,
    verbatimSymlinks: true,
    mode: constants.COPYFILE_FICLONE,
    filter: (source) => !heavy.has(basename(source)),
  });
  for (let at = folder; ; at = dirname(at)) {
    const packages = join(at, "node_modules");
    if (existsSync(packages)) symlinkSync(packages, join(copy, "node_modules"));
    if (existsSync(packages) || at === dirname(at)) break;
  }
  return join(copy, basename(file));
}

function differencesOf(first: Evaluation, second: Evaluation): Difference[] {
  const count = Math.max(first.wanted.length, second.wanted.length);
  return Array.from({ length: count }, (_, i) => ({
    name: first.wanted[i]?.name ?? second.wanted[i]?.name ?? "",
    first: first.wanted[i]?.drvPath ?? "nothing",
    second: second.wanted[i]?.drvPath ?? "nothing",
  })).filter((one) => one.first !== one.second);
}
