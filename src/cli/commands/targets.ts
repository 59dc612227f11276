/** `kiln targets`: what there is to build. */
import { evaluate, type ParameterListing, type TargetListing } from "../../author/evaluate.ts";
import { type CommandContext, say } from "../context.ts";
import { parseOperand } from "../operands.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { type EvaluationFlags, evaluationOptions, readOperands } from "../wanted.ts";

export interface TargetsFlags extends EvaluationFlags {
  readonly json?: boolean;
}

export async function listTargets(
  operands: readonly string[],
  flags: TargetsFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  readOperands(operands, flags);
  const settings = settingsFrom(flags, context.env);
  const files = (operands.length === 0 ? ["."] : operands).map((text) => fileOf(text));
  for (const file of files) {
    const options = evaluationOptions(flags, settings, context);
    await using evaluation = await evaluate({ ...options, file, targets: [] });
    const targets = evaluation.targets();
    if (flags.json === true) {
      for (const target of targets) say(JSON.stringify({ file, ...target }));
    } else {
      for (const line of listing(file, targets)) say(line);
    }
  }
}

function fileOf(text: string): string {
  const operand = parseOperand(text, () => false);
  return operand.type === "target" ? operand.file : operand.path;
}

/** One line for each target, as it is named on the command line, and one for each parameter. */
export function listing(file: string, targets: readonly TargetListing[]): string[] {
  const width = Math.max(...targets.map(({ name }) => operand(file, name).length), 0);
  return targets.flatMap((target) => {
    const systems = target.systems === undefined ? "" : ` for ${target.systems.join(", ")}`;
    const name = operand(file, target.name).padEnd(width);
    const line = `${name}  ${kinds[target.kind]}${systems}`;
    return [line, ...(target.parameters ?? []).map(parameterLine)];
  });
}

const kinds: Readonly<Record<TargetListing["kind"], string>> = {
  derivation: "derivation",
  output: "output",
  target: "target with parameters",
  perSystem: "one derivation per system,",
  group: "group",
};

function operand(file: string, name: string): string {
  return name === "" ? file : `${file}#${name}`;
}

function parameterLine(parameter: ParameterListing): string {
  const { name, kind, choices, doc } = parameter;
  const values = choices === undefined ? kind : choices.join("|");
  const byDefault = parameter.default === undefined ? "required" : `default ${parameter.default}`;
  return `    --arg ${name}=${values}  (${byDefault})${doc === undefined ? "" : `  ${doc}`}`;
}
