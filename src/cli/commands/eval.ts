/** `kiln eval`: the derivations of targets, as paths; nothing is sent or built. Exit code 1 when `--twice` finds them to differ. */
import { locate } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { evaluateAgain } from "../evaluate-again.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { type EvaluationFlags, findWanted } from "../wanted.ts";

export interface EvalFlags extends EvaluationFlags {
  readonly json?: boolean;
  readonly twice?: boolean;
}

export async function evalTargets(
  operands: readonly string[],
  flags: EvalFlags & GlobalFlags,
  context: CommandContext,
): Promise<number> {
  const { settings, daemon } = await locate(settingsFrom(flags, context.env), context);
  await daemon?.[Symbol.asyncDispose]();
  await using wanted = await findWanted(operands, flags, settings, context);
  for (const derivation of wanted.derivations)
    say(flags.json === true ? JSON.stringify(derivation) : derivation.drvPath);
  if (flags.twice !== true) return 0;
  const differences = await evaluateAgain(operands, flags, settings, context);
  for (const { name, first, second } of differences) {
    context.note(`error: ${name} is not the same when evaluated again [eval.impure]`);
    context.note(`  here:      ${first}`);
    context.note(`  elsewhere: ${second}`);
  }
  return differences.length > 0 ? 1 : 0;
}
