/** Hostile imports: export streams and NARs with every part wrong in turn. */
import { exportObjectHeader } from "../../src/format/export-stream.ts";
import type { StoreDirectory } from "../../src/format/store-path.ts";
import {
  exported,
  narOf,
  sample,
  streamOf,
  textSample,
} from "../../src/store/store.test.support.ts";

export interface StreamCase {
  readonly name: string;
  readonly bytes: Buffer;
}

function word(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return bytes;
}

function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value as string);
  return Buffer.concat([word(bytes.length), bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
}

type Part = string | Buffer;

/** Strings become strings of a NAR, buffers stay what they are. */
function nar(...parts: readonly Part[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === "string" ? text(part) : part)));
}

function archive(...parts: readonly Part[]): Buffer {
  return nar("nix-archive-1", ...parts);
}

function directory(...parts: readonly Part[]): Buffer {
  return nar("nix-archive-1", "(", "type", "directory", ...parts, ")");
}

function entry(name: Part, ...node: readonly Part[]): Part[] {
  const named = typeof name === "string" ? text(name) : name;
  const file = ["(", "type", "regular", "contents", "x", ")"];
  return ["entry", "(", "name", named, "node", ...(node.length === 0 ? file : node), ")"];
}

const names = ["", ".", "..", "a/b", "/", "a\0b", "n".repeat(256), "n".repeat(70_000)];

const nars: Readonly<Record<string, Buffer>> = {
  "another mark": nar("nix-archive-2", "(", "type", "regular", "contents", "", ")"),
  "no mark": nar("(", "type", "regular", "contents", "", ")"),
  "a mark without end": Buffer.concat([word(13), Buffer.from("nix-archive-1")]),
  "a mark of 2^64-1 bytes": Buffer.concat([word(-1n), Buffer.alloc(64)]),
  "a mark of 2^63 bytes": Buffer.concat([word(2n ** 63n), Buffer.alloc(64)]),
  "no node": nar("nix-archive-1"),
  "a node without type": nar("nix-archive-1", "(", ")"),
  "an unknown type": nar("nix-archive-1", "(", "type", "fifo", ")"),
  "a file without contents": nar("nix-archive-1", "(", "type", "regular", ")"),
  "contents before the mark": archive(
    "(",
    "type",
    "regular",
    "contents",
    "x",
    "executable",
    "",
    ")",
  ),
  "an executable mark with a value": archive(
    "(",
    "type",
    "regular",
    "executable",
    "yes",
    "contents",
    "x",
    ")",
  ),
  "two contents": archive("(", "type", "regular", "contents", "x", "contents", "y", ")"),
  "contents of 2^64-1 bytes": archive(
    "(",
    "type",
    "regular",
    "contents",
    word(-1n),
    Buffer.alloc(100),
  ),
  "contents of 2^62 bytes": archive(
    "(",
    "type",
    "regular",
    "contents",
    word(2n ** 62n),
    Buffer.alloc(100),
  ),
  "contents of 1 PiB that do not come": archive(
    "(",
    "type",
    "regular",
    "contents",
    word(2n ** 50n),
    Buffer.alloc(100),
  ),
  "padding that is not zero": archive(
    "(",
    "type",
    "regular",
    "contents",
    word(1),
    Buffer.from("x1234567"),
    ")",
  ),
  "a link without target": nar("nix-archive-1", "(", "type", "symlink", ")"),
  "an empty target": nar("nix-archive-1", "(", "type", "symlink", "target", "", ")"),
  "a target with a NUL": nar("nix-archive-1", "(", "type", "symlink", "target", "a\0b", ")"),
  "a target of 4,096 bytes": archive("(", "type", "symlink", "target", "t".repeat(4096), ")"),
  "a second node": archive(
    "(",
    "type",
    "regular",
    "contents",
    "x",
    ")",
    "(",
    "type",
    "regular",
    ")",
  ),
  ...Object.fromEntries(
    names.map((name) => [
      `the name ${JSON.stringify(name).slice(0, 20)} (${name.length})`,
      directory(...entry(name)),
    ]),
  ),
  "a name that is no UTF-8": directory(...entry(nar(text(Buffer.from([0xff, 0xfe]))))),
  "a name twice": directory(...entry("a"), ...entry("a")),
  "names in the wrong order": directory(...entry("b"), ...entry("a")),
  "a name and a folder of it": directory(
    ...entry("a", "(", "type", "symlink", "target", "/etc", ")"),
    ...entry("a", "(", "type", "directory", ...entry("passwd"), ")"),
  ),
  "an entry without node": directory("entry", "(", "name", text("a"), ")"),
  "an entry without name": directory("entry", "(", "node", "(", "type", "regular", ")", ")"),
  "a folder that is not closed": nar("nix-archive-1", "(", "type", "directory"),
  "folders in each other, 5,000 deep": deep(5000),
  "folders in each other, 100,000 deep": deep(100_000),
};

function deep(levels: number): Buffer {
  const down = nar("(", "type", "directory", "entry", "(", "name", text("d"), "node");
  const parts: Buffer[] = [nar("nix-archive-1")];
  for (let i = 0; i < levels; i++) parts.push(down);
  return Buffer.concat(parts);
}

/** Streams that are wrong; what is in them must not become an object. */
export function hostileStreams(store: StoreDirectory): StreamCase[] {
  const good = sample(store, "victim", "victim");
  const tree = sample(store, "tree", { entries: { a: "a", b: { target: "a" } } });
  const textual = textSample(store, "text.drv", "text");
  const whole = streamOf(good);
  const mark = Buffer.from("NIXE\0\0\0\0");
  const trailer = (...parts: readonly Part[]): Buffer =>
    Buffer.concat([exportObjectHeader(), good.nar, nar(...parts)]);
  const other = sample(store, "other", "other");
  const absent = sample(store, "absent", "absent");
  const cases: [string, Buffer][] = [
    ...Object.entries(nars).map(([name, bytes]): [string, Buffer] => [
      `a NAR with ${name}`,
      Buffer.concat([exported(good, { nar: bytes }), word(0)]),
    ]),
    ...[0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9].map((part): [string, Buffer] => [
      `a stream that is cut after ${part * 100} %`,
      whole.subarray(0, Math.floor(whole.length * part)),
    ]),
    ["a stream that begins with 2", Buffer.concat([word(2), whole.subarray(8)])],
    ["a stream that begins with 2^64-1", Buffer.concat([word(-1n), whole.subarray(8)])],
    ["text", Buffer.from("this is no export stream, it is only text that goes on for a while")],
    ["zeros after a beginning", Buffer.concat([word(1), Buffer.alloc(100_000)])],
    ["another mark of a trailer", trailer(Buffer.from("NIXF\0\0\0\0"), good.storePath)],
    ["a path of 5,000 bytes", trailer(mark, "/".padEnd(5000, "x"), word(0), "", word(0), word(0))],
    ["a path of 2^63 bytes", trailer(mark, word(2n ** 63n), Buffer.alloc(64))],
    ["100,001 references", trailer(mark, good.storePath, word(100_001), good.storePath)],
    ["2^64-1 references", trailer(mark, good.storePath, word(-1n), good.storePath)],
    [
      "an end that is neither 0 nor 1",
      trailer(mark, good.storePath, word(0), "", word(2), word(0)),
    ],
    ...["/etc/passwd", "", "..", "victim", `${store}/..`, `${store}/a/b`, store].map(
      (storePath): [string, Buffer] => [
        `the path ${JSON.stringify(storePath)}`,
        streamOf(exported(good, { storePath })),
      ],
    ),
    ["the path of another object", streamOf(exported(good, { storePath: other.storePath }))],
    [
      "the path of another directory",
      streamOf(exported(sample("/nix/store" as StoreDirectory, "victim", "victim"))),
    ],
    ["other contents", streamOf(exported(good, { nar: narOf("not the victim") }))],
    [
      "an executable in its place",
      streamOf(exported(good, { nar: narOf({ executable: "victim" }) })),
    ],
    ["a folder for a text", streamOf(exported(textual, { nar: tree.nar }))],
    ["another address", streamOf(exported(good, { ca: other.ca }))],
    ["a text's address", streamOf(exported(good, { ca: textual.ca }))],
    [
      "a reference that is not there",
      streamOf(exported(sample(store, "r", "r", [absent.storePath]))),
    ],
    ["a reference that is none", streamOf(exported(good, { references: ["/etc/passwd"] }))],
    ["a reference to itself", streamOf(exported(good, { references: [good.storePath] }))],
    [
      "more references than its path was made of",
      streamOf(exported(good, { references: [other.storePath] })),
    ],
    [
      "an address that is none",
      Buffer.concat([trailer(mark, good.storePath, word(0), "", word(1), "md4:nothing"), word(0)]),
    ],
  ];
  return cases.map(([name, bytes]) => ({ name, bytes }));
}
