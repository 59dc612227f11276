import assert from "node:assert/strict";
import { closeSync, mkdirSync, openSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { temporaryDirectory } from "../util/temp.ts";
import { FifoPool } from "./fifo-pool.ts";

describe("FIFOs for the output of builders", () => {
  test("can be had again when there is room for them again", async () => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-fifo-");
    const parent = join(folder.path, "later");
    await using pool = new FifoPool(parent);
    await assert.rejects(
      pool.take(() => {}),
      { code: "process.fifo" },
    );
    mkdirSync(parent);
    using fifo = await pool.take(() => {});
    assert.ok(fifo.path.startsWith(parent));
  });

  test("end when nobody has them open, and not before", async () => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-fifo-");
    await using pool = new FifoPool(folder.path);
    let read = "";
    using fifo = await pool.take((chunk) => (read += chunk.toString()));
    const other = openSync(fifo.path, "w");
    fifo.closeWriteEnd();
    assert.equal(await fifo.endsWithin(20), false);
    writeSync(other, "last words");
    closeSync(other);
    const isEnded = fifo.endsWithin(60_000);
    assert.equal(read, "last words", "read at once");
    assert.equal(await isEnded, true);
  });
});
