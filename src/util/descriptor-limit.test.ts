import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { descriptorLimit } from "./descriptor-limit.ts";

test(
  "the limit of open files is what the system says",
  { skip: process.platform !== "linux" && "Linux tells it" },
  () => {
    const module = JSON.stringify(new URL("./descriptor-limit.ts", import.meta.url).pathname);
    const script = `import { descriptorLimit } from ${module}; console.log(descriptorLimit());`;
    const { stdout } = spawnSync(
      "sh",
      ["-c", 'ulimit -n 100; exec "$0" --input-type=module -e "$1"', process.execPath, script],
      { encoding: "utf8" },
    );
    assert.equal(stdout.trim(), "100");
    assert.equal(descriptorLimit("/proc/self/limits/nowhere"), undefined);
  },
);
