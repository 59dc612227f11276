/** Builds of a life with zb that zb's language cannot say: derivations with several outputs, and fixed ones of text. */
import type { Derivation, DerivationOutput } from "../../src/format/derivation/derivation.ts";
import { inputPlaceholder, ownPlaceholder } from "../../src/format/derivation/placeholders.ts";
import { derivationPath } from "../../src/format/derivation/print.ts";
import { sha256 } from "../../src/format/hash.ts";
import { outputPathOf } from "../../src/format/derivation/derivation.ts";
import { compareBytes } from "../../src/util/byte-string.ts";
import { shell } from "./derivations.ts";

const floating: DerivationOutput = { type: "floating", method: "recursive", hashType: "sha256" };

function withOutputs(derivation: Derivation, outputs: readonly string[]): Derivation {
  const env = new Map([...derivation.env].filter(([name]) => name !== "out"));
  for (const output of outputs) env.set(output, ownPlaceholder(output));
  return {
    ...derivation,
    env: new Map([...env].toSorted(([a], [b]) => compareBytes(a, b))),
    outputs: new Map(outputs.toSorted(compareBytes).map((output) => [output, floating])),
  };
}

/** Three outputs that know nothing of each other. */
export const several: Derivation = withOutputs(
  shell(
    "several",
    "mkdir -p $out/bin $dev; echo tool $out > $out/bin/tool; echo header > $dev/h; echo page > $doc",
  ),
  ["out", "dev", "doc"],
);

/** Needs two of them, and refers to one. */
export const ofSeveral: Derivation = (() => {
  const drvPath = derivationPath(several);
  const env = { dev: inputPlaceholder(drvPath, "dev"), doc: inputPlaceholder(drvPath, "doc") };
  return {
    ...shell("of-several", "cat $doc > $out; echo $dev >> $out", { env }),
    inputDerivations: new Map([[drvPath, ["dev", "doc"]]]),
  };
})();

/** One output mentions the other one. */
export const siblings: Derivation = withOutputs(
  shell("siblings", "echo library > $lib; echo uses $lib > $out"),
  ["out", "lib"],
);

const words = "fixed words\n";

/** A fixed output that is a text. */
export const text: Derivation = (() => {
  const plain: Derivation = {
    ...shell("text.txt", `printf 'fixed words\\n' > $out`),
    outputs: new Map([["out", { type: "fixed", ca: { method: "text", hash: sha256(words) } }]]),
  };
  return { ...plain, env: new Map(plain.env).set("out", outputPathOf(plain, "out") ?? "") };
})();
