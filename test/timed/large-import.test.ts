// A 4 GiB object is imported in bounded memory while others are answered at once.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { exportEnd, exportObjectHeader, exportTrailer } from "../../src/format/export-stream.ts";
import { Hash } from "../../src/format/hash.ts";
import { NarWriter } from "../../src/format/nar/writer.ts";
import { storePathOf } from "../../src/format/path-digest.ts";
import { parseStoreDirectory, parseStorePath } from "../../src/format/store-path.ts";
import { StoreClient } from "../../src/rpc/client.ts";
import { createHash } from "node:crypto";
import { kilnProgram, needsWorld, World } from "../support/world.ts";

const size = 4 * 1024 ** 3;
const block = Buffer.alloc(1024 * 1024, "0123456789abcdef");

test(
  "importing 4 GiB keeps the daemon below 300 MiB, and zb.info is answered meanwhile",
  { skip: needsWorld },
  async () => {
    // On disk, not in the world's memory file system.
    const scratch = mkdtempSync(join(tmpdir(), "kiln-large-"));
    try {
      await using world = await World.open();
      const store = join(scratch, "store");
      const daemon = await world.serve(kilnProgram, [
        `--store=${store}`,
        "--sandbox=false",
        "--build-users-group=",
      ]);
      const sender = await StoreClient.connect(daemon.socket);
      const other = await StoreClient.connect(daemon.socket);

      const hash = createHash("sha256");
      function* nar(): Generator<Buffer> {
        let parts: Buffer[] = [];
        const writer = new NarWriter((chunk) => parts.push(Buffer.from(chunk)));
        const flush = function* (): Generator<Buffer> {
          for (const part of parts) hash.update(part);
          yield* parts;
          parts = [];
        };
        writer.file("", false, size);
        for (let at = 0; at < size; at += block.length) {
          writer.data(block);
          yield* flush();
        }
        writer.endFile();
        writer.end();
        yield* flush();
      }
      let path = "";
      function* stream(): Generator<Buffer> {
        yield exportObjectHeader();
        yield* nar();
        hash.update("|");
        const ca = { method: "recursive", hash: Hash.of("sha256", hash.digest()) } as const;
        path = storePathOf(parseStoreDirectory(store), "large", ca, { self: false, others: [] });
        yield exportTrailer({ storePath: path, references: [], deriver: "", ca });
        yield exportEnd();
      }

      const state = { running: true };
      const waits: number[] = [];
      let memory = 0;
      const asking = (async () => {
        while (state.running) {
          const start = performance.now();
          await other.call("zb.info", {
            path: parseStorePath(`${store}/a3vn6g9g2y76l0py4snl172ixnn39xr1-hello.txt`),
          });
          waits.push(performance.now() - start);
          const status = readFileSync(`/proc/${daemon.process.pid}/status`, "utf8");
          memory = Math.max(memory, Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024);
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      })();
      const start = performance.now();
      await sender.importStream(stream());
      const { info } = await sender.call("zb.info", { path: parseStorePath(path) });
      const seconds = (performance.now() - start) / 1000;
      state.running = false;
      await asking;
      waits.sort((a, b) => a - b);
      const median = waits[waits.length >> 1]!;
      console.log(
        `4 GiB in ${seconds.toFixed(1)} s; memory at most ${memory.toFixed(0)} MiB; zb.info x ${waits.length}: median ${median.toFixed(1)} ms, worst ${waits.at(-1)!.toFixed(0)} ms`,
      );
      assert.equal(info?.narSize, size + 112);
      assert.ok(memory > 0 && memory < 300, `${memory} MiB`);
      assert.ok(waits.length > 50);
      assert.ok(median < 20, `median ${median} ms`);
      assert.ok(waits.at(-1)! < 250, `worst ${waits.at(-1)} ms`);
      await sender.close();
      await other.close();
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  },
);
