import assert from "node:assert/strict";
import { execFileSync, fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, existsSync, openSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryDirectory } from "../util/temp.ts";
import type { StartMessage } from "./runner.ts";

const program = fileURLToPath(new URL("./runner-process.ts", import.meta.url));

function startRunner(): ChildProcess {
  return fork(program, [], {
    execArgv: ["--disable-warning=ExperimentalWarning"],
    serialization: "advanced",
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
}

/** An order to run a shell script in `folder`, which gets a FIFO for its output that nobody reads. */
function order(folder: string, script: string): StartMessage {
  const output = join(folder, "fifo");
  execFileSync("mkfifo", [output]);
  return {
    type: "start",
    id: 1,
    output,
    command: {
      builder: "/bin/sh",
      args: ["-c", script],
      env: new Map([
        ["PATH", "/bin:/usr/bin"],
        ["ZB_BUILD_TOP", folder],
      ]),
      workDirectory: folder,
      user: undefined,
      launcher: join(folder, "launcher"),
    },
  };
}

test("the runner ends when its daemon went away just before a builder was started", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-runner-");
  const runner = startRunner();
  const exited = once(runner, "exit");
  runner.send(order(folder.path, "exec sleep 1000"));
  runner.disconnect();
  const [code, signal] = await exited;
  assert.deepEqual([code, signal], [0, null]);
});

test("the runner ends a running builder, however stubborn, when its daemon goes away", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-runner-");
  const runner = startRunner();
  const exited = once(runner, "exit");
  const mark = join(folder.path, "pid");
  runner.send(
    order(folder.path, `trap "" TERM HUP PIPE; echo $$ > ${mark}; while :; do sleep 0.05; done`),
  );
  while (!existsSync(mark) || readFileSync(mark, "utf8") === "") {
    await new Promise(setImmediate);
  }
  const pid = readFileSync(mark, "utf8").trim();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) runner.kill(name);
  await new Promise(setImmediate);
  assert.equal(runner.exitCode, null, "a signal meant for the daemon does not end it");
  runner.disconnect();
  assert.deepEqual(await exited, [0, null]);
  const stat = `/proc/${pid}/stat`;
  assert.ok(!existsSync(stat) || /\) Z /.test(readFileSync(stat, "latin1")));
});

test("a process with nothing else to do waits for the end of the runner while it builds", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-runner-");
  const { command, output } = order(folder.path, "exec sleep 1000");
  // A runner that is killed loses its channel some moment before its end is known: too short a moment to be met by a test.
  const script = `
    import { Runner } from ${JSON.stringify(new URL("runner.ts", import.meta.url).href)};
    const said = () => console.log(process.getActiveResourcesInfo().includes("ProcessWrap"));
    await using runner = new Runner();
    runner.warm();
    said();
    const env = new Map(${JSON.stringify([...command.env])});
    const command = { ...${JSON.stringify(command)}, env };
    const [stop, started] = [new AbortController(), Promise.withResolvers()];
    const options = { stop: stop.signal, grace: 0, onStarted: started.resolve };
    const outcome = runner.run(command, ${JSON.stringify(output)}, options);
    await started.promise;
    said();
    stop.abort();
    await outcome;
    said();
  `;
  const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script];
  // The runner opens the FIFO for writing when somebody reads it.
  const reader = openSync(output, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    assert.equal(
      execFileSync(process.execPath, args, { encoding: "utf8" }),
      "false\ntrue\nfalse\n",
    );
  } finally {
    closeSync(reader);
  }
});
