/** From a name in an archive to a place below the output. Nothing here follows a link or asks the disk. */
import { isUtf8 } from "node:buffer";
import { builderFault, quote } from "../fault.ts";
import { maxNameBytes, maxPathBytes } from "./limits.ts";

/**
 * The elements of `name`, cleaned as text: empty ones and `.` go, `..` takes back the one before it. An empty list is the top of
 * the archive.
 *
 * `fixed` elements at the front cannot be taken back: an archive that is stripped of its first element must not leave it.
 *
 * @throws KilnError `extract.entry` for names that are absolute, lead outside, are not UTF-8 (NARs allow nothing else), hold
 * a NUL, or are too long.
 */
export function placeOf(name: Buffer, fixed: number): string[] {
  if (name.length === 0) throw refused(name, "it is empty");
  if (name.includes(0)) throw refused(name, "it holds a NUL");
  if (!isUtf8(name)) throw refused(name, "it is not valid UTF-8");
  const text = name.toString("utf8");
  if (text.startsWith("/")) throw refused(name, "it is absolute");
  const elements: string[] = [];
  for (const element of text.split("/")) {
    if (element === "" || element === ".") continue;
    if (element === "..") {
      if (elements.length <= fixed) throw refused(name, "it leads outside the archive");
      elements.pop();
    } else {
      if (Buffer.byteLength(element) > maxNameBytes) {
        throw refused(name, `it has a part longer than ${maxNameBytes} bytes`);
      }
      elements.push(element);
    }
  }
  if (Buffer.byteLength(elements.join("/")) > maxPathBytes) {
    throw refused(name, `it is longer than ${maxPathBytes} bytes`);
  }
  return elements;
}

function refused(name: Buffer, reason: string): Error {
  return builderFault("extract.entry", `refused the name ${quote(name)}: ${reason}`);
}
