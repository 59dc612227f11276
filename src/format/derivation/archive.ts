/** Derivations on their way into a store: their `.drv` files as an export stream. */
import { Buffer } from "node:buffer";
import { exportEnd, exportObjectHeader, exportTrailer } from "../export-stream.ts";
import { NarWriter } from "../nar/writer.ts";
import type { Derivation } from "./derivation.ts";
import { derivationObject } from "./print.ts";

/**
 * The export stream of these derivations, in their order: each after those it depends on, since a store takes nothing that refers to
 * what it does not have.
 *
 * @throws KilnError `drv.invalid`, `path.invalid` for what cannot be written
 */
export function* derivationExport(derivations: Iterable<Derivation>): Generator<Buffer> {
  for (const derivation of derivations) {
    const { path, contents, ca, references } = derivationObject(derivation);
    yield exportObjectHeader();
    const nar: Buffer[] = [];
    const writer = new NarWriter((chunk) => nar.push(Buffer.from(chunk)));
    writer.file("", false, contents.length);
    writer.data(contents);
    writer.endFile();
    writer.end();
    yield* nar;
    yield exportTrailer({ storePath: path, references, deriver: "", ca });
  }
  yield exportEnd();
}
