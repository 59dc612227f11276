/** What the child process tells the client: what is wanted, and every object that takes. */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { exportEnd, exportObjectHeader, exportTrailer } from "../format/export-stream.ts";
import { Hash } from "../format/hash.ts";
import type { StorePath } from "../format/store-path.ts";
import { Fault } from "./fault.ts";
import type { StoreItem } from "./item.ts";

/** The items and everything they refer to, each once, references before what refers to them. */
export function closureOf(roots: Iterable<StoreItem>): StoreItem[] {
  const done = new Map<StorePath, StoreItem>();
  const begun = new Set<StorePath>();
  const stack = [...roots].toReversed();
  for (let item = stack.at(-1); item !== undefined; item = stack.at(-1)) {
    const missing = begun.has(item.path)
      ? []
      : item.references.filter(({ path }) => !done.has(path));
    begun.add(item.path);
    if (missing.length > 0) {
      stack.push(...missing.toReversed());
      continue;
    }
    done.set(item.path, item);
    stack.pop();
  }
  return [...done.values()];
}

/**
 * The items as one export stream. Their bytes are read again; what is no longer what was hashed is noticed before the object is
 * complete, so that nothing wrong gets into a store.
 *
 * @throws Fault `source.changed` then, `path.missing` for an object that only the store could have had
 */
export function* exportItems(items: Iterable<StoreItem>): Generator<Buffer> {
  for (const { path, references, label, place, content } of items) {
    if (content === undefined) {
      throw new Fault("path.missing", `${label}: the store does not have it`, { place });
    }
    yield exportObjectHeader();
    const digest = createHash("sha256");
    for (const chunk of content.nar()) {
      digest.update(chunk);
      yield chunk;
    }
    const { method, hash } = content.ca;
    if (method === "recursive" && !hash.equals(Hash.of("sha256", digest.update("|").digest()))) {
      throw new Fault("source.changed", `${label} changed while it was read; run again`, { place });
    }
    const paths = references.map((item) => item.path);
    yield exportTrailer({ storePath: path, references: paths, deriver: "", ca: content.ca });
  }
  yield exportEnd();
}
