/** `kiln key`: keys that sign what builds make, and their public halves. */
import { randomBytes } from "node:crypto";
import { SigningKey } from "../../format/signature.ts";
import { openInput, readAll, writeOutput } from "../files.ts";
import type { GlobalFlags } from "../settings.ts";
import { parseSigningKey } from "../signing-keys.ts";

export interface GenerateFlags {
  readonly output?: string;
}

export async function keyGenerate(
  _operands: readonly string[],
  flags: GenerateFlags & GlobalFlags,
): Promise<void> {
  const key = SigningKey.fromSeed(randomBytes(32));
  await writeOutput(flags.output ?? "-", [Buffer.from(key.print())], 0o600);
}

export async function keyShowPublic(operands: readonly string[]): Promise<void> {
  const names = operands.length === 0 ? ["-"] : operands;
  for (const name of names) {
    const text = (await readAll(openInput(name)())).toString("utf8");
    const key = parseSigningKey(text, name === "-" ? "standard input" : name);
    await writeOutput("-", [Buffer.from(key.printPublic())]);
  }
}
