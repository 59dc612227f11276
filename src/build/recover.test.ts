import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { parseStorePath, type StorePath } from "../format/store-path.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { states, Workbench } from "./workbench.test.support.ts";

const support = new URL("./workbench.test.support.ts", import.meta.url).href;

/** Builds something that never ends in a process of its own, and kills that process when the builder is at work. */
async function killedBuild(
  folder: string,
  script: string,
): Promise<{ id: string; drvPath: StorePath; pids: number[] }> {
  const program = `
    import { Workbench } from ${JSON.stringify(support)};
    const bench = await Workbench.openIn({ path: ${JSON.stringify(folder)} });
    const bad = await bench.shell("bad", "exit 1");
    const made = await bench.shell("orphan", ${JSON.stringify(script)});
    const user = await bench.shell("user", "cat $in > $out", { inputs: { in: made } });
    const id = await bench.service.realize({ drvPaths: [bad.drvPath, user.drvPath] });
    for (let log = ""; !log.includes("ready"); await new Promise(setImmediate)) {
      if (bench.service.result(id, made.drvPath).logSize === 0) continue;
      log = await bench.service.readLog(id, made.drvPath, 0, undefined).then(({ bytes }) => bytes.toString());
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    console.log(JSON.stringify({ id, drvPath: made.drvPath }));`;
  const child = spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", program],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  child.kill("SIGKILL");
  await once(child, "exit");
  const { id, drvPath } = JSON.parse(line) as { id: string; drvPath: string };
  const name = drvPath.slice(drvPath.lastIndexOf("/") + 1, -4);
  const log = readFileSync(join(folder, "log", id.slice(0, 4), id, `${name}.txt`), "utf8");
  const pids = [...log.matchAll(/^\d+$/gm)].map(([pid]) => Number(pid));
  return { id, drvPath: parseStorePath(drvPath), pids };
}

function isAlive(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/\) Z /.test(readFileSync(stat, "latin1"));
}

const stubborn = `trap "" TERM HUP PIPE
  setsid sh -c 'trap "" TERM HUP PIPE; echo $$; : > there; while :; do sleep 0.05 </dev/null >/dev/null 2>&1; done' &
  echo $$; echo half > $out; touch note; until [ -e there ]; do sleep 0.01; done; echo ready
  while :; do sleep 0.05 </dev/null >/dev/null 2>&1; done`;

test(
  "builders die with the daemon, and the next one finds nothing of them",
  { timeout: 60_000 },
  async () => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-recover-");
    const { id, drvPath, pids } = await killedBuild(folder.path, stubborn);
    assert.equal(pids.length, 2);
    for (let tries = 0; pids.some(isAlive) && tries < 200; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.deepEqual(pids.filter(isAlive), []);
    const keep = { path: folder.path, async [Symbol.asyncDispose]() {} };
    await using bench = await Workbench.openIn(keep);
    // The build that was under way has ended.
    assert.equal(bench.service.build(id).status, "error");
    assert.equal(bench.service.summaries(1)[0]?.state, "interrupted");
    assert.deepEqual(
      new Map(bench.service.results(id).map(({ name, state }) => [name, state])),
      new Map([
        ["bad", "failed"],
        ["orphan", "interrupted"],
        ["user", "skipped"],
      ]),
    );
    const { bytes, eof } = await bench.service.readLog(id, drvPath, 0, undefined);
    assert.match(
      bytes.toString(),
      /\n\*\*\* Build failed: the daemon stopped during this build\n$/,
    );
    assert.equal(eof, true);
    // Who asks for the log is told how much there is, and not that there is none.
    assert.equal(bench.service.result(id, drvPath).logSize, bytes.length);
    // A new one begins when everything is cleaned up.
    const made = await bench.shell("orphan", "[ ! -e $out ] && echo new > $out");
    assert.deepEqual(states(await bench.realize(made)), { orphan: "built" });
    assert.deepEqual(bench.leftovers(), []);
  },
);
