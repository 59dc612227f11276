/** A folder put together in the build file. */
import { Buffer } from "node:buffer";
import { stringToBytes } from "../util/byte-string.ts";
import { sortedMap } from "../format/derivation/derivation.ts";
import { maxNameLength as maxEntryName } from "../format/nar/limits.ts";
import { NarReader, type NarSink } from "../format/nar/reader.ts";
import { NarWriter } from "../format/nar/writer.ts";
import { storePathOf } from "../format/path-digest.ts";
import { maxNameLength } from "../format/store-path.ts";
import { context } from "./context.ts";
import { show } from "./fault.ts";
import { sourceHash, type StoreItem } from "./item.ts";
import { noInputs } from "./placeholders.ts";
import { callerPlace } from "./place.ts";
import { referencesOf } from "./texts.ts";
import { checkName, resolved, wrong, type Subject } from "./strings.ts";
import { SourceValue, type Source } from "./values.ts";

/** The bytes of a file, something else that has a NAR, or a folder of such. */
export type TreeNode = Buffer | Folder | { readonly nar: () => Iterable<Buffer> };
export type Folder = Map<string, TreeNode>;

/** The folder with these files: texts, which may refer to sources, and copies of sources. */
export function treeSource(
  name: string,
  files: Readonly<Record<string, string | Source>>,
): SourceValue {
  const label = typeof name === "string" ? `tree(${show(name)})` : "tree()";
  const subject: Subject = { label, place: callerPlace(), inputs: noInputs() };
  checkName(subject, name, maxNameLength);
  if (typeof files !== "object" || files === null || Array.isArray(files)) {
    throw wrong(subject, `its files are ${show(files)}, not an object`);
  }
  const root: Folder = new Map();
  const copied: StoreItem[] = [];
  for (const [path, value] of Object.entries(files)) {
    put(subject, root, path, nodeOf(subject, path, value, copied));
  }
  const hint = "pass it to a derivation and put the folder together there";
  const references = withoutDoubles([
    ...referencesOf(subject, hint),
    ...copied.flatMap((item) => item.references),
  ]);
  const nar = (): Iterable<Buffer> => narOf(root);
  return new SourceValue(name, () => {
    const ca = { method: "recursive", hash: sourceHash(nar()) } as const;
    const others = references.map((item) => item.path);
    const path = storePathOf(context().storeDirectory, name, ca, { self: false, others });
    return { path, references, label, place: subject.place, content: { ca, nar } };
  });
}

function nodeOf(subject: Subject, path: string, value: unknown, copied: StoreItem[]): TreeNode {
  if (typeof value === "string") return stringToBytes(resolved(subject, value, show(path)));
  if (!(value instanceof SourceValue)) {
    throw wrong(subject, `${show(path)} is ${show(value)}`, "files are texts or sources");
  }
  const { item } = value;
  if (item.content === undefined) {
    throw wrong(subject, `${show(path)} is ${item.label}, whose bytes only the store has`);
  }
  copied.push(item);
  return item.content;
}

function put(subject: Subject, root: Folder, path: string, node: TreeNode): void {
  const names = path.split("/");
  const bad = names.find(
    (name) => /^\.{0,2}$|\0/.test(name) || Buffer.byteLength(name) > maxEntryName,
  );
  if (bad !== undefined) {
    throw wrong(subject, `${show(path)} is no relative path`, 'like "lib/main.ts"');
  }
  let folder = root;
  for (const name of names.slice(0, -1)) {
    const next = folder.get(name) ?? new Map<string, TreeNode>();
    if (!(next instanceof Map)) throw wrong(subject, `${show(path)} is inside of a file or source`);
    folder.set(name, next);
    folder = next;
  }
  const last = names.at(-1) ?? "";
  if (folder.has(last)) throw wrong(subject, `${show(path)} is there twice`);
  folder.set(last, node);
}

/** The NAR of a tree, chunk by chunk: a source may be larger than memory. */
export function* narOf(root: TreeNode): Generator<Buffer> {
  const chunks: Buffer[] = [];
  const writer = new NarWriter((chunk) => chunks.push(chunk));
  for (const _ of write(writer, "", root)) yield* chunks.splice(0);
  writer.end();
  yield* chunks;
}

/** Writes a node, stopping now and then for what was written to be taken away. */
function* write(writer: NarWriter, name: string, node: TreeNode): Generator<void> {
  if (Buffer.isBuffer(node)) {
    writer.file(name, false, node.length);
    writer.data(node);
    writer.endFile();
    yield;
  } else if (node instanceof Map) {
    writer.directory(name);
    for (const [entry, child] of sortedMap(node)) yield* write(writer, entry, child);
    writer.endDirectory();
  } else {
    const reader = new NarReader(renamed(writer, name));
    for (const chunk of node.nar()) {
      reader.write(chunk);
      yield;
    }
    reader.end();
  }
}

/** Passes everything on, the root under another name. */
function renamed(writer: NarWriter, root: string): NarSink {
  const place = (name: string): string => (name === "" ? root : name);
  return {
    directory: (name) => writer.directory(place(name)),
    endDirectory: () => writer.endDirectory(),
    file: (name, executable, size) => writer.file(place(name), executable, size),
    data: (chunk) => writer.data(chunk),
    endFile: () => writer.endFile(),
    symlink: (name, target) => writer.symlink(place(name), target),
  };
}

function withoutDoubles(items: readonly StoreItem[]): readonly StoreItem[] {
  return [...new Map(items.map((item) => [item.path, item])).values()];
}
