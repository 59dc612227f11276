// How long a line of a builder takes to the terminal, in the tree and as a plain line.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { describe, test } from "node:test";
import { Place, shellTargets } from "../support/cli.ts";
import { kilnProgram } from "../support/world.ts";

// util-linux's script(1) gives a program a terminal of its own.
const skip =
  spawnSync("script", ["-qec", "true", "/dev/null"]).status !== 0 && "script(1) is not here";

/** Lines that are written, 300 ms apart: the region is redrawn only once a second for other reasons. */
const lines = 12;
const script = `for i in $(seq ${lines}); do echo "at $(date +%s%3N)."; sleep 0.3; done; echo > $out`;

/** Milliseconds from each line's writing to its being on the terminal. */
async function latencies(args: readonly string[]): Promise<number[]> {
  await using place = new Place();
  place.write("kiln.build.ts", shellTargets({ default: script }));
  const words = [kilnProgram, "build", ...args].map((word) => `'${word}'`).join(" ");
  const child = spawn("script", ["-qefc", `stty cols 100 rows 24; exec ${words}`, "/dev/null"], {
    cwd: place.project,
    env: {
      PATH: process.env["PATH"],
      HOME: place.directory,
      ZB_STORE_DIR: place.store,
      LANG: "C.UTF-8",
      TERM: "xterm-256color",
    },
  });
  const seen = new Map<number, number>();
  let text = "";
  child.stdout.on("data", (chunk: Buffer) => {
    const now = Date.now();
    text += chunk.toString();
    for (const [, stamp = ""] of text.matchAll(/at (\d{13})\./g)) {
      const written = Number(stamp);
      if (!seen.has(written)) seen.set(written, now - written);
    }
  });
  await once(child, "close");
  return [...seen.values()].toSorted((a, b) => a - b);
}

describe("a builder's line is on the terminal within 200 ms", { skip }, () => {
  for (const [what, args] of [
    ["in the tree", []],
    ["as a plain line", ["--progress=plain", "-L"]],
  ] as const) {
    test(what, async (t) => {
      const times = await latencies(args);
      t.diagnostic(`${times.join(", ")} ms`);
      assert.equal(times.length, lines, "every line was shown");
      // One may be late on a machine that has other things to do.
      assert.ok((times.at(-2) ?? Infinity) <= 200, times.join(", "));
    });
  }
});
