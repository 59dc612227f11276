import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeSync,
} from "node:fs";
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

  test("are removed when somebody may still write to them, and else used again", async () => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-fifo-");
    await using pool = new FifoPool(folder.path);
    const left = await pool.take(() => {});
    left[Symbol.dispose]();
    assert.equal(existsSync(left.path), false);
    const clean = await pool.take(() => {});
    clean.closeWriteEnd();
    assert.equal(await clean.endsWithin(1000), true);
    clean[Symbol.dispose]();
    assert.equal(existsSync(clean.path), true);
  });

  test("are opened ahead, one at a time, and closed again", async () => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-fifo-");
    /** Descriptors of FIFOs in the folder: each has two. */
    const open = (): number =>
      readdirSync("/proc/self/fd").filter((fd) => linkOf(fd).startsWith(folder.path)).length;
    {
      await using pool = new FifoPool(folder.path);
      using first = await pool.take(() => {});
      await new Promise(setImmediate);
      assert.equal(open(), 4);
      let read = "";
      using second = await pool.take((chunk) => (read += chunk.toString()));
      assert.equal(open(), 4, "the one that was open");
      assert.notEqual(first.path, second.path);
      writeSync(second.writeEnd, "words");
      second.closeWriteEnd();
      assert.equal(await second.endsWithin(60_000), true);
      assert.equal(read, "words");
      await new Promise(setImmediate);
    }
    // A socket closes its descriptor a moment after it is destroyed.
    for (let tries = 0; open() > 0 && tries < 1000; tries++) await new Promise(setImmediate);
    assert.equal(open(), 0);
  });

  test("that are open ahead keep no process alive", async () => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-fifo-");
    const script = `
      import { FifoPool } from ${JSON.stringify(new URL("./fifo-pool.ts", import.meta.url).href)};
      const pool = new FifoPool(${JSON.stringify(folder.path)});
      const fifo = await pool.take(() => {});
      await new Promise(setImmediate);
      fifo[Symbol.dispose]();
      console.log("the end");
    `;
    const options = { timeout: 60_000, encoding: "utf8" } as const;
    const args = ["--input-type=module", "--eval", script];
    const { status, stdout } = spawnSync(process.execPath, args, options);
    assert.deepEqual({ status, stdout }, { status: 0, stdout: "the end\n" });
  });

  test("that were removed are made again", async () => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-fifo-");
    await using pool = new FifoPool(folder.path);
    {
      using _first = await pool.take(() => {});
    }
    await new Promise(setImmediate);
    for (const name of readdirSync(folder.path)) {
      for (const fifo of readdirSync(join(folder.path, name)))
        rmSync(join(folder.path, name, fifo));
    }
    const outcomes: string[] = [];
    for (let tries = 0; tries < 20; tries++) {
      try {
        using _fifo = await pool.take(() => {});
        outcomes.push("taken");
      } catch {
        outcomes.push("refused");
      }
    }
    assert.equal(outcomes.at(-1), "taken");
  });
});

/** What an open descriptor of this process is; nothing when it is not open any more. */
function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}
