import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { describe, test } from "node:test";
import { exportEnd, exportObjectHeader, exportTrailer } from "../format/export-stream.ts";
import { NarWriter } from "../format/nar/writer.ts";
import { hasCode } from "../util/kiln-error.ts";
import { checkedExport } from "./checked-export.ts";
import { readAll } from "./files.ts";

function sample(): Buffer {
  const parts: Buffer[] = [exportObjectHeader()];
  const nar = new NarWriter((chunk) => parts.push(Buffer.from(chunk)));
  nar.file("", false, 5);
  nar.data(Buffer.from("hello"));
  nar.endFile();
  nar.end();
  const storePath = `/opt/zb/store/${"0".repeat(32)}-x`;
  parts.push(exportTrailer({ storePath, references: [], deriver: "", ca: undefined }), exportEnd());
  return Buffer.concat(parts);
}

async function* pieces(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

describe("an export on its way", () => {
  for (const size of [1, 7, 64, 100_000])
    test(`passes unchanged in pieces of ${size} bytes, without what follows it`, async () => {
      const bytes = Buffer.concat([sample(), Buffer.from("something else")]);
      const passed = await readAll(checkedExport(pieces(bytes, size), "x.export"));
      assert.ok(passed.equals(sample()));
    });

  test("is refused with its name when it is broken", async () => {
    const garbage = checkedExport(pieces(Buffer.from("garbage, for certain"), 5), "x.export");
    await assert.rejects(
      readAll(garbage),
      (error) => hasCode(error, "export.marker") && error.message.startsWith("x.export: "),
    );
  });

  test("is refused when it ends early", async () => {
    const cut = checkedExport(pieces(sample().subarray(0, -9), 50), "-");
    await assert.rejects(
      readAll(cut),
      (error) => hasCode(error, "export.truncated") && error.message.startsWith("standard input: "),
    );
  });
});
