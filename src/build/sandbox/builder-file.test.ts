import assert from "node:assert/strict";
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../util/temp.ts";
import { hostFileOf } from "./builder-file.ts";

test("a builder's file is found through what the sandbox shows, and through nothing else", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-builder-");
  const host = realpathSync(folder.path);
  mkdirSync(join(host, "usr/bin"), { recursive: true });
  writeFileSync(join(host, "usr/bin/dash"), "");
  writeFileSync(join(host, "outside"), "");
  symlinkSync("dash", join(host, "usr/bin/sh"));
  symlinkSync("../../outside", join(host, "usr/bin/away"));
  const shown = [
    { inside: "/bin", type: "link", target: "usr/bin" },
    { inside: "/circle", type: "link", target: "circle" },
    { inside: "/usr", type: "directory", source: join(host, "usr") },
    { inside: "/own/sh", type: "file", source: join(host, "usr/bin/sh") },
  ] as const;
  const dash = join(host, "usr/bin/dash");
  for (const [path, file] of [
    ["/usr/bin/dash", dash],
    ["/usr/bin/../bin/sh", dash],
    ["/bin/sh", dash],
    ["/own/sh", dash],
    ["/bin/away", undefined],
    ["/bin/none", undefined],
    ["/circle", undefined],
    [join(host, "outside"), undefined],
    ["/usr/../../outside", undefined],
  ] as const) {
    assert.equal(hostFileOf(path, shown), file, path);
  }
});
