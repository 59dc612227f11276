import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { interpreterOf, isStaticProgram, librariesOf, loaderOf } from "./program-files.ts";

test("a dynamic program names its loader, and the loader its libraries", async () => {
  const loader = loaderOf(process.execPath);
  assert.ok(loader?.startsWith("/") && existsSync(loader), String(loader));
  const libraries = await librariesOf(process.execPath);
  assert.equal(libraries[0], loader);
  assert.equal(interpreterOf(process.execPath), loader);
  assert.ok(libraries.some((path) => /libc\.|musl/.test(path)));
  assert.ok(libraries.every((path) => existsSync(path)));
  assert.equal(isStaticProgram(process.execPath), false);
});

test("what is no program has none", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "kiln-programs-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const head = Buffer.alloc(64);
  Buffer.from("\x7fELF\x02\x01", "latin1").copy(head);
  for (const [name, content] of [
    ["empty", ""],
    ["script", "#!/bin/sh\n"],
    ["cut", head.subarray(0, 40)],
    ["without headers", head],
  ] as const) {
    const path = join(folder, name);
    writeFileSync(path, content);
    assert.deepEqual([loaderOf(path), await librariesOf(path)], [undefined, []], name);
  }
  assert.equal(loaderOf(join(folder, "missing")), undefined);
});

test("a script names its interpreter, as the kernel reads that", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "kiln-programs-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "script");
  for (const [content, interpreter] of [
    ["#!/bin/sh\necho", "/bin/sh"],
    ["#! \t/usr/bin/env sh\n", "/usr/bin/env"],
    ["#!/bin/sh\r\n", "/bin/sh\r"],
    ["#!sh\n", undefined],
    ["", undefined],
  ] as const) {
    writeFileSync(path, content);
    assert.equal(interpreterOf(path), interpreter, JSON.stringify(content));
  }
});
