import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readdirSync,
  renameSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { NarWriter } from "../format/nar/writer.ts";
import { hasCode } from "../util/kiln-error.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { dumpNar, hashTree, type DumpOptions } from "./dump.ts";

function dump(path: string, options?: DumpOptions): Buffer {
  return Buffer.concat([...dumpNar(path, options)]);
}

function written(write: (writer: NarWriter) => void): Buffer {
  const chunks: Buffer[] = [];
  const writer = new NarWriter((chunk) => chunks.push(chunk));
  write(writer);
  writer.end();
  return Buffer.concat(chunks);
}

function writeFile(writer: NarWriter, name: string, contents: Buffer, executable = false): void {
  writer.file(name, executable, contents.length);
  writer.data(contents);
  writer.endFile();
}

describe("dumping a tree", () => {
  test("gives the NAR of files, directories and symlinks, sorted by bytes", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-dump-");
    const root = join(temp.path, "root");
    mkdirSync(join(root, "dir", "empty"), { recursive: true });
    writeFileSync(join(root, "dir", "file"), "contents");
    writeFileSync(join(root, "nothing"), "");
    symlinkSync("../nowhere/at all", join(root, "link"));
    for (const name of ["😀", "～", "Z", "é"]) writeFileSync(join(root, name), name);

    const expected = written((writer) => {
      writer.directory("");
      writeFile(writer, "Z", Buffer.from("Z"));
      writer.directory("dir");
      writer.directory("empty");
      writer.endDirectory();
      writeFile(writer, "file", Buffer.from("contents"));
      writer.endDirectory();
      writer.symlink("link", Buffer.from("../nowhere/at all"));
      writeFile(writer, "nothing", Buffer.alloc(0));
      for (const name of ["é", "～", "😀"]) writeFile(writer, name, Buffer.from(name));
      writer.endDirectory();
    });
    assert.deepEqual(dump(root), expected);
    assert.deepEqual(dump(`${root}/`), expected);
  });

  test("the root may be a file or a symlink, which is not followed", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-dump-");
    const file = join(temp.path, "file");
    const link = join(temp.path, "link");
    writeFileSync(file, "hi\n");
    symlinkSync("file", link);
    assert.deepEqual(
      dump(file),
      written((writer) => writeFile(writer, "", Buffer.from("hi\n"))),
    );
    assert.deepEqual(
      dump(link),
      written((writer) => writer.symlink("", Buffer.from("file"))),
    );
  });

  test("a file is executable when anybody may execute it", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-dump-");
    const file = join(temp.path, "file");
    writeFileSync(file, "x");
    for (const [mode, executable] of [
      [0o644, false],
      [0o4644, false],
      [0o744, true],
      [0o454, true],
      [0o441, true],
    ] as const) {
      chmodSync(file, mode);
      const expected = written((writer) => writeFile(writer, "", Buffer.from("x"), executable));
      assert.deepEqual(dump(file), expected, mode.toString(8));
    }
  });

  test("files of all sizes around those of the buffers, holes included", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-dump-");
    const file = join(temp.path, "file");
    for (const size of [1, 7, 8, 32_767, 32_768, 32_769, 131_072, 131_073, 500_000]) {
      const contents = Buffer.alloc(size, "0123456789");
      writeFileSync(file, contents);
      const expected = written((writer) => writeFile(writer, "", contents));
      assert.ok(dump(file).equals(expected), `${size} bytes`);
      assert.ok(dump(file, { chunkSize: 10_000 }).equals(expected), `${size} bytes, small chunks`);
    }
    truncateSync(file, 0);
    truncateSync(file, 1_000_000);
    const holes = written((writer) => writeFile(writer, "", Buffer.alloc(1_000_000)));
    assert.ok(dump(file).equals(holes));
  });

  test("chunks are the caller's to keep", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-dump-");
    for (let i = 0; i < 100; i++) writeFileSync(join(temp.path, `f${i}`), Buffer.alloc(i * 500, i));
    const hash = createHash("sha256");
    const kept: Buffer[] = [];
    for (const chunk of dumpNar(temp.path, { chunkSize: 20_000 })) {
      hash.update(chunk);
      kept.push(chunk);
    }
    const expected = createHash("sha256").update(Buffer.concat(kept)).digest("hex");
    assert.equal(hash.digest("hex"), expected);
    const { narHash, narSize } = await hashTree(temp.path);
    assert.equal(narHash.rawBase16(), expected);
    assert.equal(narSize, Buffer.concat(kept).length);
  });

  test("what the filter leaves out is not even looked at", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-dump-");
    mkdirSync(join(temp.path, "src"));
    mkdirSync(join(temp.path, "node_modules"));
    writeFileSync(join(temp.path, "src", "a.ts"), "a");
    writeFileSync(join(temp.path, "src", "a.log"), "log");
    execFileSync("mkfifo", [join(temp.path, "node_modules", "fifo")]);
    const asked: string[] = [];
    const nar = dump(temp.path, {
      filter: ({ path, type }) => {
        asked.push(`${type} ${path}`);
        return path !== "node_modules" && !path.endsWith(".log");
      },
    });
    assert.deepEqual(asked.toSorted(), [
      "directory node_modules",
      "directory src",
      "file src/a.log",
      "file src/a.ts",
    ]);
    const expected = written((writer) => {
      writer.directory("");
      writer.directory("src");
      writeFile(writer, "a.ts", Buffer.from("a"));
      writer.endDirectory();
      writer.endDirectory();
    });
    assert.deepEqual(nar, expected);
  });

  test("anything else is refused", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-dump-");
    const fifo = join(temp.path, "fifo");
    execFileSync("mkfifo", [fifo]);
    for (const path of [fifo, temp.path, "/dev/null"]) {
      assert.throws(
        () => dump(path),
        (thrown) => hasCode(thrown, "file.type"),
      );
    }
  });

  test("a name that is not UTF-8 is refused", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-dump-");
    const bad = Buffer.concat([Buffer.from(`${temp.path}/bad`), Buffer.from([0xff])]);
    writeFileSync(bad, "x");
    assert.throws(
      () => dump(temp.path),
      (thrown) => hasCode(thrown, "nar.name") && thrown.path === temp.path,
    );
    unlinkSync(bad);
  });

  test("what does not exist is an error with the path a person knows", () => {
    const missing = join(tmpdir(), "kiln-there-is-no-such-file");
    assert.throws(
      () => dump(missing),
      (thrown) => hasCode(thrown, "file.missing") && thrown.message.includes(missing),
    );
  });

  test("a file that changes its size while it is read is an error", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-dump-");
    const file = join(temp.path, "file");
    for (const change of [() => truncateSync(file, 300_000), () => appendFileSync(file, "more")]) {
      writeFileSync(file, Buffer.alloc(400_000));
      const chunks = dumpNar(file);
      assert.equal(chunks.next().done, false);
      change();
      assert.throws(
        () => [...chunks],
        (thrown) => hasCode(thrown, "file.changed"),
      );
    }
  });

  test("what is swapped for a symlink while the tree is read is not followed", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-dump-");
    const secret = join(temp.path, "secret");
    mkdirSync(secret);
    writeFileSync(join(secret, "file"), "secret");
    for (const victim of ["b", "c"]) {
      const root = join(temp.path, `root-${victim}`);
      mkdirSync(join(root, "c"), { recursive: true });
      writeFileSync(join(root, "a"), Buffer.alloc(400_000));
      writeFileSync(join(root, "b"), "b");
      writeFileSync(join(root, "c", "file"), "c");
      const chunks = dumpNar(root);
      chunks.next();
      renameSync(join(root, victim), join(temp.path, `moved-${victim}`));
      symlinkSync(victim === "b" ? join(secret, "file") : secret, join(root, victim));
      assert.throws(
        () => [...chunks],
        (thrown) => hasCode(thrown, "disk.io"),
      );
    }
  });

  test("a dump that is not read to its end gives its descriptors back", async () => {
    await using temp = await temporaryDirectory(tmpdir(), "kiln-dump-");
    const deep = join(temp.path, ...Array.from({ length: 60 }, () => "d"));
    mkdirSync(deep, { recursive: true });
    writeFileSync(join(deep, "file"), Buffer.alloc(400_000));
    const before = readdirSync("/proc/self/fd").length;
    const chunks = dumpNar(temp.path);
    chunks.next();
    const during = readdirSync("/proc/self/fd").length;
    assert.ok(during > before && during < before + 40, `${during - before} descriptors`);
    chunks.return();
    assert.equal(readdirSync("/proc/self/fd").length, before);
  });
});

test("a path that is longer than it may be is an error, wherever in the tree it is", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-dump-");
  const tree = join(folder.path, "tree");
  mkdirSync(join(tree, "ab", "cd"), { recursive: true });
  mkdirSync(join(tree, "x"));
  writeFileSync(join(tree, "ab", "cd", "ef"), "");
  writeFileSync(join(tree, "x", "y"), "");
  dump(tree, { longestPath: "/ab/cd/ef".length });
  assert.throws(
    () => dump(tree, { longestPath: "/ab/cd/ef".length - 1 }),
    (error) => hasCode(error, "file.pathTooLong"),
  );
});
