import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { inheritedDescriptors } from "./inherited-descriptors.ts";

const url = new URL("./inherited-descriptors.ts", import.meta.url).href;

/** Runs `code` in a Node with descriptors 40 and 41 open, and two more that systemd might have passed. */
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

const passedTo = (pid: string): string => `{ LISTEN_PID: ${pid}, LISTEN_FDS: "38" }`;

test("what systemd passed to this very process is left open", () => {
  assert.equal(
    inChild(`close(${passedTo("String(process.pid)")}); console.log(among([40, 41]))`),
    "40",
  );
  assert.equal(inChild(`close(${passedTo('"1"')}); console.log(among([40, 41]))`), "");
});

test("the standard streams do not count", () => {
  assert.ok(inheritedDescriptors().every((fd) => fd > 2));
});
