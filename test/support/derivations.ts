/** Small derivations for tests, as values and as the export stream that puts them into a store. */
import { Buffer } from "node:buffer";
import { ownPlaceholder } from "../../src/format/derivation/placeholders.ts";
import type { Derivation } from "../../src/format/derivation/derivation.ts";
import {
  derivationPath,
  derivationReferences,
  printDerivation,
} from "../../src/format/derivation/print.ts";
import { exportEnd, exportObjectHeader, exportTrailer } from "../../src/format/export-stream.ts";
import { sha256 } from "../../src/format/hash.ts";
import { NarWriter } from "../../src/format/nar/writer.ts";
import { parseStoreDirectory, type StorePath } from "../../src/format/store-path.ts";
import { compareBytes } from "../../src/util/byte-string.ts";

export interface ShellOptions {
  readonly store?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly inputs?: readonly StorePath[];
  readonly system?: string;
}

/** A derivation that runs a shell script with one floating output, `$out`. */
export function shell(name: string, script: string, options: ShellOptions = {}): Derivation {
  const env = { PATH: "/bin:/usr/bin", ...options.env, out: ownPlaceholder("out") };
  return {
    directory: parseStoreDirectory(options.store ?? "/opt/zb/store"),
    name,
    inputDerivations: new Map(
      (options.inputs ?? []).toSorted(compareBytes).map((path) => [path, ["out"]]),
    ),
    inputSources: [],
    system: options.system ?? "x86_64-linux",
    builder: "/bin/sh",
    args: ["-c", script],
    env: new Map(Object.entries(env).toSorted(([a], [b]) => compareBytes(a, b))),
    outputs: new Map([["out", { type: "floating", method: "recursive", hashType: "sha256" }]]),
  };
}

/** The export stream of these derivations' `.drv` files, in the given order (inputs first). */
export function exportOf(derivations: readonly Derivation[]): Buffer {
  const parts: Buffer[] = [];
  for (const derivation of derivations) {
    const text = printDerivation(derivation);
    parts.push(exportObjectHeader());
    const nar = new NarWriter((chunk) => parts.push(Buffer.from(chunk)));
    nar.file("", false, text.length);
    nar.data(text);
    nar.endFile();
    nar.end();
    parts.push(
      exportTrailer({
        storePath: derivationPath(derivation),
        references: derivationReferences(derivation),
        deriver: "",
        ca: { method: "text", hash: sha256(text) },
      }),
    );
  }
  return Buffer.concat([...parts, exportEnd()]);
}
