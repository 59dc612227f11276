import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inheritedDescriptors } from "./inherited-descriptors.ts";

const url = new URL("./inherited-descriptors.ts", import.meta.url).href;

/** Runs `code` in a Node with descriptors 40 and 41 open. */
function inChild(code: string): string {
  const program = `import { closeInheritedDescriptors as close, inheritedDescriptors as list } from ${JSON.stringify(url)};
    const among = (wanted) => list().filter((fd) => wanted.includes(fd)).join(" ");
    ${code}`;
  const script = `exec "$0" --disable-warning=ExperimentalWarning --input-type=module -e "$1" 40</dev/null 41</dev/null`;
  const child = spawnSync("bash", ["-c", script, process.execPath, program], { encoding: "utf8" });
  assert.equal(child.stderr, "");
  return child.stdout.trim();
}

test("what was open before this process is found, what it opened itself is not", () => {
  const found = inChild(`import { openSync } from "node:fs";
    const own = openSync("/dev/null");
    console.log(among([0, 1, 2, 40, 41, own]));`);
  assert.equal(found, "40 41");
});

test("closing leaves nothing to inherit", () => {
  assert.equal(inChild(`close(); console.log(list().length)`), "0");
});

test("what is to be kept stays open", () => {
  assert.equal(inChild(`close([41]); console.log(among([40, 41]))`), "41");
});

test("what V8 writes about this process is not taken from it", () => {
  const program = `import { closeInheritedDescriptors as close } from ${JSON.stringify(url)};
    import { readdirSync, readlinkSync } from "node:fs";
    close();
    const names = readdirSync("/proc/self/fd").map((fd) => { try { return readlinkSync("/proc/self/fd/" + fd); } catch { return ""; } });
    console.log(names.some((name) => name.endsWith("perf-" + process.pid + ".map")));`;
  const args = ["--perf-basic-prof", "--disable-warning=ExperimentalWarning"];
  const folder = mkdtempSync(join(tmpdir(), "kiln-perf-"));
  try {
    const child = spawnSync(
      process.execPath,
      [...args, `--perf-basic-prof-path=${folder}`, "--input-type=module", "-e", program],
      { encoding: "utf8", cwd: folder },
    );
    assert.equal(child.stdout.trim(), "true", child.stderr);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the standard streams do not count", () => {
  assert.ok(inheritedDescriptors().every((fd) => fd > 2));
});
