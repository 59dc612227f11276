import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { NarReader, type NarSink } from "../format/nar/reader.ts";
import { NarWriter } from "../format/nar/writer.ts";
import { compareBytes } from "../util/byte-string.ts";
import { hasCode } from "../util/kiln-error.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { Directory } from "./directory.ts";
import { dumpNar } from "./dump.ts";
import { freeze } from "./freeze.ts";
import { removeTree } from "./remove-tree.ts";
import { TreeWriter } from "./restore.ts";

/** Writes a tree of files, given as contents, links, given as `->target`, and directories, given as objects. */
interface Tree {
  readonly [name: string]: Buffer | string | Tree;
}

const entryName = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 5 })
  .filter((text) => !/[/\0]/.test(text) && text !== "." && text !== "..");

const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.dictionary(
    entryName,
    fc.oneof(
      { maxDepth: 3 },
      fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom("->a", "->../..", "->/nowhere"),
      tie("tree"),
    ),
    { maxKeys: 4, noNullPrototype: true },
  ),
}));

function send(sink: NarSink, name: string, node: Buffer | string | Tree): void {
  if (typeof node === "string" && node.startsWith("->")) {
    sink.symlink(name, Buffer.from(node.slice(2)), 0);
  } else if (typeof node === "string" || Buffer.isBuffer(node)) {
    const contents = Buffer.from(node);
    sink.file(name, contents.length % 2 === 1, contents.length, 0);
    if (contents.length > 0) sink.data(contents);
    sink.endFile();
  } else {
    sink.directory(name);
    for (const [child, below] of Object.entries(node).toSorted(([a], [b]) => compareBytes(a, b))) {
      send(sink, child, below);
    }
    sink.endDirectory();
  }
}

function narOf(node: Tree): Buffer {
  const chunks: Buffer[] = [];
  const writer = new NarWriter((chunk) => chunks.push(chunk));
  send(writer, "", node);
  writer.end();
  return Buffer.concat(chunks);
}

function restore(nar: Buffer, root: string, chunkSize: number): void {
  using writer = new TreeWriter(root);
  const reader = new NarReader(writer);
  for (let at = 0; at < nar.length; at += chunkSize) reader.write(nar.subarray(at, at + chunkSize));
  reader.end();
}

describe("restoring a tree", () => {
  test("a tree written to disk and dumped is the same NAR", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-restore-");
    let count = 0;
    fc.assert(
      fc.property(tree, fc.integer({ min: 1, max: 5000 }), (node, chunkSize) => {
        const nar = narOf(node);
        const root = join(temp.path, `${count++}`);
        restore(nar, root, chunkSize);
        assert.deepEqual(Buffer.concat([...dumpNar(root)]), nar);
      }),
      { numRuns: 60 },
    );
  });

  test("a root that is a file or a symlink", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-restore-");
    using file = new TreeWriter(join(temp.path, "file"));
    send(file, "", "odd");
    assert.equal(readFileSync(join(temp.path, "file"), "utf8"), "odd");
    using link = new TreeWriter(join(temp.path, "link"));
    send(link, "", "->there");
    assert.equal(readlinkSync(join(temp.path, "link")), "there");
  });

  test("only the owner may use what is being written", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-restore-");
    using writer = new TreeWriter(join(temp.path, "root"));
    send(writer, "", { dir: { program: "odd", text: "even" } });
    const modes = ["", "dir", "dir/program", "dir/text"].map((path) => {
      return (lstatSync(join(temp.path, "root", path)).mode & 0o7777).toString(8);
    });
    assert.deepEqual(modes, ["700", "700", "700", "600"]);
    assert.equal(writer.entries, 4);
  });

  test("nothing that exists is touched, nor followed", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-restore-");
    const outside = join(temp.path, "outside");
    mkdirSync(outside);
    const root = join(temp.path, "root");
    const obstacles = [
      () => writeFileSync(root, "mine"),
      () => mkdirSync(root),
      () => symlinkSync(outside, root),
      () => symlinkSync(join(outside, "dangling"), root),
    ];
    for (const place of obstacles) {
      place();
      for (const node of [{ x: "x" }, "file", "->link"]) {
        using writer = new TreeWriter(root);
        assert.throws(
          () => send(writer, "", node),
          (thrown) => hasCode(thrown, "file.exists") && thrown.message.includes(root),
        );
      }
      await removeTree(root);
    }
    assert.deepEqual(readdirSync(outside), []);
  });

  test("entries go into the directory that was made, even if another is put in its place", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-restore-");
    const outside = join(temp.path, "outside");
    mkdirSync(outside);
    const root = join(temp.path, "root");
    using writer = new TreeWriter(root);
    writer.directory("");
    writer.directory("dir");
    await removeTree(join(root, "dir"));
    symlinkSync(outside, join(root, "dir"));
    assert.throws(
      () => send(writer, "file", "contents"),
      (thrown) => hasCode(thrown, "file.missing"),
    );
    assert.deepEqual(readdirSync(outside), []);
  });

  test("paths that nobody could open are refused", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-restore-");
    const root = join(temp.path, "root");
    using writer = new TreeWriter(root);
    writer.directory("");
    let length = root.length;
    for (; length + 101 <= 4095 - 10; length += 101) writer.directory("d".repeat(100));
    const fits = 4095 - length - 1;
    send(writer, "a".repeat(fits), "the longest path there can be");
    assert.throws(
      () => send(writer, "b".repeat(fits + 1), "one byte more"),
      (thrown) => hasCode(thrown, "file.pathTooLong"),
    );
  });

  test("depth costs no descriptors, and closing gives all of them back", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-restore-");
    const before = readdirSync("/proc/self/fd").length;
    const writer = new TreeWriter(join(temp.path, "root"));
    writer.directory("");
    for (let depth = 0; depth < 500; depth++) writer.directory("d");
    assert.ok(readdirSync("/proc/self/fd").length < before + 40);
    for (let depth = 0; depth < 400; depth++) writer.endDirectory();
    writer.file("file", false);
    writer.close();
    writer.close();
    assert.equal(readdirSync("/proc/self/fd").length, before);
    assert.ok(
      existsSync(join(temp.path, "root", ...Array.from({ length: 100 }, () => "d"), "file")),
    );
  });

  test("a tree written frozen is as freezing would leave it, whatever the umask, and its parent stays open", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-restore-");
    const node: Tree = { a: "odd", b: "even", c: "->a", d: { e: {}, f: { g: "contents" } } };
    const owner = process.geteuid?.() === 0 ? { owner: { uid: 1, gid: 2 } } : {};
    const umask = process.umask(0o077);
    using parent = Directory.open(temp.path);
    try {
      const frozen = { ...owner };
      for (const name of ["first", "second"]) {
        using writer = new TreeWriter(join(temp.path, name), { parent, frozen });
        send(writer, "", node);
      }
      restore(narOf(node), join(temp.path, "plain"), 100);
    } finally {
      process.umask(umask);
    }
    await freeze(join(temp.path, "plain"), owner);
    const expected = attributes(join(temp.path, "plain"));
    assert.equal(expected.length, 8);
    assert.deepEqual(attributes(join(temp.path, "first")), expected);
    assert.deepEqual(attributes(join(temp.path, "second")), expected);
    assert.equal(parent.entries().length, 3);
  });
});

/** What there is in a tree, with modes, owners and when all but symlinks were changed. */
function attributes(root: string): string[] {
  return ["", ...(readdirSync(root, { recursive: true }) as string[]).toSorted()].map((name) => {
    const { mode, uid, gid, mtimeMs } = lstatSync(join(root, name));
    const time = (mode & 0o170000) === 0o120000 ? "" : mtimeMs;
    return `${name} ${mode.toString(8)} ${uid} ${gid} ${time}`;
  });
}
