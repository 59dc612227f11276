import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL("./inherited.ts", import.meta.url));
// Node itself takes care of the first descriptors, up to a gap.
const skip = process.platform !== "linux" || spawnSync("bash", ["-c", "exit"]).status !== 0;

function descriptorsOfChild(closing: string): string {
  const script = `
    import { spawnSync } from "node:child_process";
    import { closeInherited } from ${JSON.stringify(here)};
    ${closing}
    console.log(spawnSync("ls", ["/proc/self/fd"]).stdout.toString().trim().split("\\n").join(" "));
  `;
  const command =
    'exec 250</dev/null 251</dev/null; exec "$0" --no-warnings --input-type=module -e "$1"';
  const ended = spawnSync("bash", ["-c", command, process.execPath, script], { encoding: "utf8" });
  assert.equal(ended.status, 0, ended.stderr);
  return ended.stdout.trim();
}

test("programs started afterwards get the standard descriptors only", { skip }, () => {
  // 3 is the folder that ls lists.
  assert.equal(descriptorsOfChild(""), "0 1 2 250 251 3", "else this test shows nothing");
  assert.equal(descriptorsOfChild("closeInherited();"), "0 1 2 3");
});

test("a descriptor that is to be kept stays open", { skip }, () => {
  assert.equal(descriptorsOfChild("closeInherited([250]);"), "0 1 2 250 3");
});
