/** Key files. */
import { readFileSync } from "node:fs";
import { SigningKey } from "../format/signature.ts";
import { KilnError } from "../util/kiln-error.ts";

/** @throws KilnError `key.invalid`, naming the file; what the system says of a file that cannot be read */
export function readSigningKey(file: string): SigningKey {
  return parseSigningKey(readFileSync(file, "utf8"), file);
}

/** The key in `text`, which was read from `file`. */
export function parseSigningKey(text: string, file: string): SigningKey {
  try {
    return SigningKey.parse(text);
  } catch (error) {
    const { code, message } = KilnError.from(error);
    throw new KilnError(code, `${file}: ${message}`, {
      path: file,
      hint: "kiln key generate -o FILE makes one",
    });
  }
}
