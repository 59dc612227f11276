/** `kiln eval`: the derivations of targets, as paths; nothing is sent or built. */
import { locate } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { type EvaluationFlags, findWanted } from "../wanted.ts";

export interface EvalFlags extends EvaluationFlags {
  readonly json?: boolean;
}

export async function evalTargets(
  operands: readonly string[],
  flags: EvalFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  const { settings, daemon } = await locate(settingsFrom(flags, context.env), context);
  await daemon?.[Symbol.asyncDispose]();
  await using wanted = await findWanted(operands, flags, settings);
  for (const derivation of wanted.derivations)
    say(flags.json === true ? JSON.stringify(derivation) : derivation.drvPath);
}
