/** Sources that are no files of the project: texts, and what the store has already. */
import { stringToBytes } from "../util/byte-string.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { ContentAddress } from "../format/content-address.ts";
import { sha256 } from "../format/hash.ts";
import { storePathOf } from "../format/path-digest.ts";
import { maxNameLength, nameOf, parsePathInDirectory } from "../format/store-path.ts";
import { context } from "./context.ts";
import { Fault, show } from "./fault.ts";
import { fileNar, type StoreItem } from "./item.ts";
import { callerPlace } from "./place.ts";
import { noInputs } from "./placeholders.ts";
import { checkName, resolved, wrong, type Subject } from "./strings.ts";
import { SourceValue } from "./values.ts";

/** A file with this content. It may refer to other sources. */
export function textSource(name: string, content: string): SourceValue {
  const label = typeof name === "string" ? `text(${show(name)})` : "text()";
  const subject: Subject = { label, place: callerPlace(), inputs: noInputs() };
  checkName(subject, name, maxNameLength);
  if (typeof content !== "string") throw wrong(subject, `its content is ${show(content)}`);
  const bytes = stringToBytes(resolved(subject, content, "its content"));
  const references = referencesOf(subject, "put them into env or attrs of a derivation");
  const ca: ContentAddress = { method: "text", hash: sha256(bytes) };
  const others = references.map(({ path }) => path);
  const path = storePathOf(context().storeDirectory, name, ca, { self: false, others });
  const { place } = subject;
  const item = { path, references, label, place, content: { ca, nar: () => [fileNar(bytes)] } };
  return new SourceValue(name, item);
}

/** An object that is in the store already. */
export function storedObject(text: string): SourceValue {
  const label = `storePath(${show(text)})`;
  const place = callerPlace();
  if (typeof text !== "string") throw wrong({ label, place }, "it is no text");
  const { storeDirectory } = context();
  try {
    const { path, sub } = parsePathInDirectory(storeDirectory, text);
    if (sub !== "")
      throw wrong({ label, place }, "it is inside an object", `storePath("${path}") + "/${sub}"`);
    const item: StoreItem = { path, references: [], label, place, content: undefined };
    return new SourceValue(nameOf(path), item);
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw wrong({ label, place }, KilnError.from(error).message);
  }
}

/** The objects found in a text or tree, which cannot depend on outputs. */
export function referencesOf(subject: Subject, hint: string): readonly StoreItem[] {
  const [output] = subject.inputs.outputs.values();
  if (output !== undefined) {
    throw wrong(
      subject,
      `it refers to an output of ${output.item.label}, which is not built yet`,
      hint,
    );
  }
  return [...subject.inputs.objects.values()];
}
