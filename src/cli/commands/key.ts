/** `kiln key`: keys that sign what builds make, and their public halves. */
import { randomBytes } from "node:crypto";
import { SigningKey } from "../../format/signature.ts";
import { hasCode, KilnError } from "../../util/kiln-error.ts";
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
  const { output = "-" } = flags;
  const key = SigningKey.fromSeed(randomBytes(32));
  try {
    await writeOutput(output, [Buffer.from(key.print())], { mode: 0o600, exclusive: true });
  } catch (error) {
    if (!hasCode(error, "file.exists")) throw error;
    // A key that is overwritten is lost, and with it whoever trusts it.
    throw new KilnError("file.exists", `${output} exists, and may be a key: it is left alone`, {
      path: output,
      hint: "give another name, or move it away",
      cause: error,
    });
  }
}

export async function keyShowPublic(operands: readonly string[]): Promise<void> {
  const names = operands.length === 0 ? ["-"] : operands;
  for (const name of names) {
    const text = (await readAll(openInput(name)())).toString("utf8");
    const key = parseSigningKey(text, name === "-" ? "standard input" : name);
    await writeOutput("-", [Buffer.from(key.printPublic())]);
  }
}
