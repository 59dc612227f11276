import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { compareBytes } from "../../util/byte-string.ts";
import { hasCode, KilnError } from "../../util/kiln-error.ts";
import { maxDepth } from "./limits.ts";
import { NarReader, readNar, type NarSink } from "./reader.ts";
import { encodeInteger, encodeString, encodeStrings } from "./tokens.ts";
import { NarWriter } from "./writer.ts";

type Node =
  | { readonly type: "file"; readonly executable: boolean; readonly contents: Buffer }
  | { readonly type: "symlink"; readonly target: Buffer }
  | { readonly type: "directory"; readonly entries: ReadonlyMap<string, Node> };

/** An event with its arguments; data that follows data is one. */
type Event = readonly [string, ...(string | number | boolean | Buffer)[]];

class Recorder implements NarSink {
  readonly events: Event[] = [];
  #data: Buffer[] = [];

  directory(name: string): void {
    this.events.push(["directory", name]);
  }

  endDirectory(): void {
    this.events.push(["endDirectory"]);
  }

  file(name: string, executable: boolean, size: number, offset: number): void {
    this.events.push(["file", name, executable, size, offset]);
    this.#data = [];
  }

  data(chunk: Buffer): void {
    assert.ok(chunk.length > 0);
    this.#data.push(Buffer.from(chunk));
  }

  endFile(): void {
    this.events.push(["data", Buffer.concat(this.#data)], ["endFile"]);
  }

  symlink(name: string, target: Buffer, offset: number): void {
    this.events.push(["symlink", name, Buffer.from(target), offset]);
  }
}

const name = fc
  .oneof(
    fc.string({ minLength: 1, maxLength: 12 }),
    fc.string({ unit: "grapheme", minLength: 1, maxLength: 6 }),
    fc.constantFrom("~", "\uff5e", "😀", "...", " ", "\\", "\n"),
  )
  .filter((text) => !/[/\0]/.test(text) && text !== "." && text !== "..");

const contents = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  fc.integer({ min: 0, max: 5000 }).map((length) => Buffer.alloc(length, "x")),
);

const target = fc
  .uint8Array({ minLength: 1, maxLength: 40 })
  .map((bytes) => Buffer.from(bytes.map((byte) => byte || 1)));

const { tree } = fc.letrec<{ tree: Node }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4 },
    fc.record({ type: fc.constant("file" as const), executable: fc.boolean(), contents }),
    fc.record({ type: fc.constant("symlink" as const), target }),
    fc.record({
      type: fc.constant("directory" as const),
      entries: fc.array(fc.tuple(name, tie("tree")), { maxLength: 5 }).map((all) => new Map(all)),
    }),
  ),
}));

function writeNode(writer: NarWriter, entry: string, node: Node): void {
  if (node.type === "symlink") {
    writer.symlink(entry, node.target);
  } else if (node.type === "file") {
    writer.file(entry, node.executable, node.contents.length);
    writer.data(node.contents);
    writer.endFile();
  } else {
    writer.directory(entry);
    for (const [child, below] of [...node.entries].toSorted(([a], [b]) => compareBytes(a, b))) {
      writeNode(writer, child, below);
    }
    writer.endDirectory();
  }
}

function narOf(node: Node, chunkSize?: number): Buffer {
  return written((writer) => writeNode(writer, "", node), chunkSize);
}

function written(write: (writer: NarWriter) => void, chunkSize = 64 * 1024): Buffer {
  const chunks: Buffer[] = [];
  const writer = new NarWriter((chunk) => chunks.push(chunk), { chunkSize });
  write(writer);
  writer.end();
  const nar = Buffer.concat(chunks);
  assert.equal(writer.bytesWritten, nar.length);
  return nar;
}

function read(nar: Buffer, chunkSize = nar.length): Event[] {
  const recorder = new Recorder();
  const reader = new NarReader(recorder);
  for (let at = 0; at < nar.length; at += chunkSize) {
    const chunk = nar.subarray(at, at + chunkSize);
    assert.equal(reader.write(chunk), chunk.length);
  }
  reader.end();
  assert.equal(reader.bytesRead, nar.length);
  return recorder.events;
}

function failsWith(code: string, run: () => void): void {
  assert.throws(run, (thrown) => {
    assert.ok(thrown instanceof KilnError, String(thrown));
    assert.equal(thrown.code, code);
    return true;
  });
}

/** The NAR of a directory with these entries, as bytes that need not be right. */
function directoryNar(...entries: readonly Buffer[]): Buffer {
  return Buffer.concat([
    encodeStrings("nix-archive-1", "(", "type", "directory"),
    ...entries,
    encodeStrings(")"),
  ]);
}

function entryNar(entry: Buffer | string): Buffer {
  return Buffer.concat([
    encodeStrings("entry", "(", "name"),
    encodeString(entry),
    encodeStrings("node", "(", "type", "directory", ")", ")"),
  ]);
}

describe("NARs", () => {
  test("what was written is read again, and written again gives the same bytes", () => {
    fc.assert(
      fc.property(tree, (node) => {
        const nar = narOf(node);
        const again = written((writer) => readNar(nar, writer));
        assert.deepEqual(again, nar);
      }),
    );
  });

  test("chunks of any size give the same events", () => {
    fc.assert(
      fc.property(tree, fc.integer({ min: 1, max: 40 }), (node, chunkSize) => {
        const nar = narOf(node);
        assert.deepEqual(read(nar, chunkSize), read(nar));
      }),
    );
  });

  test("a NAR cut in two at any byte gives the same events", () => {
    const nar = narOf({
      type: "directory",
      entries: new Map<string, Node>([
        ["a", { type: "file", executable: true, contents: Buffer.from("hello") }],
        ["b", { type: "directory", entries: new Map() }],
        ["é", { type: "symlink", target: Buffer.from("../a") }],
      ]),
    });
    const events = read(nar);
    for (let at = 0; at <= nar.length; at++) {
      const recorder = new Recorder();
      const reader = new NarReader(recorder);
      reader.write(nar.subarray(0, at));
      reader.write(nar.subarray(at));
      assert.deepEqual(recorder.events, events, `cut at ${at}`);
    }
  });

  test("a NAR that ends early is truncated, wherever it ends", () => {
    const nar = narOf({ type: "file", executable: true, contents: Buffer.from("hello") });
    for (let length = 0; length < nar.length; length++) {
      failsWith("nar.truncated", () => readNar(nar.subarray(0, length), new Recorder()));
    }
  });

  test("the reader stops exactly at the end", () => {
    fc.assert(
      fc.property(tree, fc.integer({ min: 1, max: 40 }), (node, chunkSize) => {
        const nar = narOf(node);
        const bytes = Buffer.concat([nar, Buffer.from("what follows")]);
        const reader = new NarReader(new Recorder());
        let taken = 0;
        for (let at = 0; at < bytes.length && !reader.finished; at += chunkSize) {
          taken += reader.write(bytes.subarray(at, at + chunkSize));
        }
        assert.equal(taken, nar.length);
        assert.equal(reader.write(bytes), 0);
      }),
    );
  });

  test("any byte changed is an error, or the same tree with another file, name or target", () => {
    const node: Node = {
      type: "directory",
      entries: new Map<string, Node>([
        ["a", { type: "file", executable: true, contents: Buffer.from("hello") }],
        ["b", { type: "symlink", target: Buffer.from("to") }],
      ]),
    };
    const nar = narOf(node);
    fc.assert(
      fc.property(fc.nat(nar.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(nar);
        changed.writeUInt8((changed[at] ?? 0) ^ change, at);
        let again: Buffer;
        try {
          again = written((writer) => readNar(changed, writer));
        } catch (thrown) {
          assert.ok(thrown instanceof KilnError && thrown.code.startsWith("nar."), String(thrown));
          assert.equal(thrown.kind, "input");
          return;
        }
        assert.deepEqual(again, changed);
      }),
      { numRuns: 2000 },
    );
  });

  test("nonsense never gets through, nor anything but an error out", () => {
    const word = fc.constantFrom(
      "(",
      ")",
      "type",
      "regular",
      "contents",
      "",
      "entry",
      "name",
      "node",
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 20 }), (words) => {
        const bytes = encodeStrings("nix-archive-1", ...words);
        let nar: Buffer;
        try {
          nar = written((writer) => readNar(bytes, writer));
        } catch (thrown) {
          assert.ok(thrown instanceof KilnError && thrown.code.startsWith("nar."), String(thrown));
          return;
        }
        assert.deepEqual(nar, bytes);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("the NAR reader", () => {
  test("tells where a file's contents and a symlink's target begin", () => {
    const nar = narOf({
      type: "directory",
      entries: new Map<string, Node>([
        ["file", { type: "file", executable: false, contents: Buffer.from("FILE") }],
        ["link", { type: "symlink", target: Buffer.from("LINK") }],
      ]),
    });
    const events = read(nar);
    assert.deepEqual(events[1], ["file", "file", false, 4, nar.indexOf("FILE")]);
    assert.deepEqual(events[4], ["symlink", "link", Buffer.from("LINK"), nar.indexOf("LINK")]);
  });

  test("hands on large contents without copying", () => {
    const large = Buffer.alloc(100_000);
    const nar = written((writer) => {
      writer.file("", false, large.length);
      writer.data(large);
      writer.endFile();
    });
    const views: Buffer[] = [];
    const recorder = new Recorder();
    recorder.data = (chunk) => views.push(chunk);
    readNar(nar, recorder);
    assert.ok(views.every((view) => view.buffer === nar.buffer));
  });

  test("refuses padding that is not zero, and says where", () => {
    for (const word of ["nix-archive-1", "hello"]) {
      const nar = encodeStrings("nix-archive-1", "(", "type", "regular", "contents", "hello", ")");
      const at = nar.indexOf(word) + word.length;
      nar.writeUInt8(1, at);
      assert.throws(
        () => readNar(nar, new Recorder()),
        (thrown) => hasCode(thrown, "nar.padding") && thrown.message.includes(`byte ${at} `),
      );
    }
  });

  test("refuses names that are not names", () => {
    const bad = [
      "",
      ".",
      "..",
      "a/b",
      "a\0b",
      Buffer.from([0xff]),
      Buffer.from([0xed, 0xa0, 0x80]),
    ];
    for (const entry of [...bad, "n".repeat(256)]) {
      failsWith("nar.name", () => readNar(directoryNar(entryNar(entry)), new Recorder()));
    }
  });

  test("refuses entries out of order and twice", () => {
    for (const [first, second] of [
      ["b", "a"],
      ["a", "a"],
      ["😀", "\uff5e"],
    ] as const) {
      const nar = directoryNar(entryNar(first), entryNar(second));
      failsWith("nar.order", () => readNar(nar, new Recorder()));
    }
  });

  test("refuses symlinks without target, with a NUL, and with too long a target", () => {
    for (const bad of ["", "a\0b", "t".repeat(4096)]) {
      const nar = encodeStrings("nix-archive-1", "(", "type", "symlink", "target", bad, ")");
      failsWith("nar.target", () => readNar(nar, new Recorder()));
    }
  });

  test("refuses lengths beyond what can be exact, without reading on", () => {
    for (const length of [2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      const start = encodeStrings("nix-archive-1", "(", "type", "regular", "contents");
      const word = Buffer.alloc(8);
      word.writeBigUInt64LE(length);
      failsWith("nar.size", () => readNar(Buffer.concat([start, word]), new Recorder()));
    }
  });

  test("refuses long tokens as soon as their length is there", () => {
    for (const length of [17, 2 ** 32, 2 ** 32 + 1]) {
      failsWith("nar.syntax", () => readNar(encodeInteger(length), new Recorder()));
    }
  });

  test("takes deep trees, up to a limit", () => {
    const opening = encodeStrings("(", "type", "directory", "entry", "(", "name", "d", "node");
    const reader = new NarReader(new Recorder());
    reader.write(encodeStrings("nix-archive-1"));
    for (let depth = 0; depth < maxDepth; depth++) reader.write(opening);
    failsWith("nar.depth", () => reader.write(opening));
  });

  test("what the sink throws comes out, and the reader is done for", () => {
    const recorder = new Recorder();
    recorder.symlink = () => {
      throw new Error("disk full");
    };
    const reader = new NarReader(recorder);
    const nar = encodeStrings("nix-archive-1", "(", "type", "symlink", "target", "t", ")");
    assert.throws(() => reader.write(nar), /disk full/);
    failsWith("nar.syntax", () => reader.write(nar));
  });
});

describe("the NAR writer", () => {
  test("gives the same bytes whatever the size of its buffers", () => {
    fc.assert(
      fc.property(tree, (node) => {
        assert.deepEqual(narOf(node, 8 * 1024), narOf(node));
      }),
    );
  });

  test("writes long names and many of them across its buffers", () => {
    const entries = new Map<string, Node>();
    for (let i = 0; i < 500; i++) {
      const entry = `${"é".repeat(i % 120)}${i}`;
      entries.set(entry, { type: "symlink", target: Buffer.from("t") });
    }
    const node: Node = { type: "directory", entries };
    assert.equal(read(narOf(node, 8 * 1024)).length, 502);
  });

  test("refuses events that make no NAR", () => {
    const wrong: ((writer: NarWriter) => void)[] = [
      (writer) => writer.end(),
      (writer) => writer.data(Buffer.from("x")),
      (writer) => writer.endFile(),
      (writer) => writer.endDirectory(),
      (writer) => writer.symlink("named root", Buffer.from("t")),
      (writer) => writer.symlink("", Buffer.alloc(4096, "t")),
      (writer) => writer.file("", false, -1),
      (writer) => writer.file("", false, 1.5),
      (writer) => {
        writer.symlink("", Buffer.from("t"));
        writer.symlink("", Buffer.from("t"));
      },
      (writer) => {
        writer.file("", false, 1);
        writer.data(Buffer.from("xy"));
      },
      (writer) => {
        writer.file("", false, 1);
        writer.endFile();
      },
      (writer) => {
        writer.directory("");
        writer.file("f", false, 1);
        writer.endDirectory();
      },
      (writer) => {
        writer.directory("");
        writer.file("f", false, 1);
        writer.symlink("g", Buffer.from("t"));
      },
      (writer) => {
        writer.directory("");
        writer.end();
      },
    ];
    for (const write of wrong) failsWith("nar.misuse", () => write(new NarWriter(() => {})));
  });

  test("refuses bad names and entries out of order", () => {
    const long = "n".repeat(256);
    for (const bad of ["", ".", "..", "a/b", "a\0", "\udc80", long, "é".repeat(128)]) {
      failsWith("nar.name", () => {
        const writer = new NarWriter(() => {});
        writer.directory("");
        writer.directory(bad);
      });
    }
    failsWith("nar.order", () => {
      const writer = new NarWriter(() => {});
      writer.directory("");
      writer.symlink("b", Buffer.from("t"));
      writer.symlink("a", Buffer.from("t"));
    });
  });
});
