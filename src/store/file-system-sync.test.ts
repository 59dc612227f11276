import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { FileSystemSync } from "./file-system-sync.ts";

test("a file system is synced as often as asked, and a failure is told", async () => {
  using sync = new FileSystemSync(tmpdir());
  const expected = process.platform === "linux";
  assert.equal(await sync.run(), expected);
  assert.equal(await sync.run(), expected);
  using absent = new FileSystemSync("/nowhere/at/all");
  assert.equal(await absent.run(), false);
  assert.equal(await absent.run(), false);
});

test("a shell that was started for later is the one that is used", async () => {
  using sync = new FileSystemSync(tmpdir());
  sync.warm();
  const { PATH } = process.env;
  process.env["PATH"] = "/nowhere";
  try {
    assert.equal(await sync.run(), process.platform === "linux");
  } finally {
    process.env["PATH"] = PATH;
  }
});

test("where there is no shell, the answer is no", async () => {
  const { PATH } = process.env;
  process.env["PATH"] = "/nowhere";
  try {
    using sync = new FileSystemSync(tmpdir());
    assert.equal(await sync.run(), false);
    assert.equal(await sync.run(), false);
  } finally {
    process.env["PATH"] = PATH;
  }
});

for (const [when, call] of [
  ["after a sync", "run"],
  ["that was started for later", "warm"],
] as const) {
  test(`a shell ${when} does not keep the process from ending`, () => {
    const script = `
      import { FileSystemSync } from ${JSON.stringify(new URL("./file-system-sync.ts", import.meta.url).href)};
      await new FileSystemSync(${JSON.stringify(tmpdir())}).${call}();
    `;
    const { status } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], {
      timeout: 20_000,
    });
    assert.equal(status, 0);
  });
}
