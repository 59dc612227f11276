import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, test } from "node:test";
import { extract } from "tar-stream";
import { temporaryDirectory } from "../util/temp.ts";
import { tarOf } from "./tar.ts";

describe("an object as a tar archive", () => {
  test("holds every entry with its content, mode and target", async () => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-tar-");
    const tree = join(folder.path, "tree");
    mkdirSync(join(tree, "bin"), { recursive: true });
    writeFileSync(join(tree, "bin/run"), "#!/bin/sh\n", { mode: 0o755 });
    writeFileSync(join(tree, "text"), "words\n", { mode: 0o644 });
    symlinkSync("bin/run", join(tree, "link"));
    const found: string[] = [];
    const reader = extract();
    reader.on("entry", ({ name, type, mode, linkname }, content, next) => {
      let size = 0;
      content.on("data", (chunk) => (size += (chunk as Buffer).length));
      content.on("end", () => {
        found.push(`${type} ${name} ${mode.toString(8)} ${linkname ?? ""} ${size}`);
        next();
      });
    });
    await pipeline(tarOf(tree, "it"), reader);
    assert.deepEqual(found, [
      "directory it/ 755  0",
      "directory it/bin/ 755  0",
      "file it/bin/run 755  10",
      "symlink it/link 777 bin/run 0",
      "file it/text 644  6",
    ]);
  });

  test("of a large file waits for a slow reader, and for many pieces as for one", async () => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-tar-");
    const file = join(folder.path, "large");
    writeFileSync(file, Buffer.alloc(24 * 1024 * 1024, "x"));
    const warnings: string[] = [];
    const onWarning = (warning: Error): number => warnings.push(warning.message);
    process.on("warning", onWarning);
    let size = 0;
    for await (const chunk of tarOf(file, "large")) {
      size += (chunk as Buffer).length;
      await nextTurn();
    }
    process.off("warning", onWarning);
    assert.ok(size > 24 * 1024 * 1024);
    assert.deepEqual(warnings, []);
  });

  test("is cut off where a link's target is no text", async () => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-tar-");
    const tree = join(folder.path, "tree");
    mkdirSync(tree);
    symlinkSync(Buffer.from([0x61, 0xff]), join(tree, "link"));
    await assert.rejects(tarOf(tree, "it").toArray(), { code: "tar.target" });
  });
});
