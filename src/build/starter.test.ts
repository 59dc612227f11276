import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { constants, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryDirectory } from "../util/temp.ts";
import { findProgram } from "./builtins/extract/program.ts";
import { canStart, type Order, Starter } from "./starter.ts";

const perl = findProgram("perl") ?? "perl";
const orders = fileURLToPath(new URL("builder.pl", import.meta.url));
const skip = !canStart() && "the starter needs Linux 5.3";

/** Words of an order to run a shell script in `folder`, whose words go into a FIFO that is open and that nobody reads. */
function order(folder: string, script: string): string[] {
  const output = join(folder, "fifo");
  execFileSync("mkfifo", [output]);
  openSync(output, constants.O_RDONLY | constants.O_NONBLOCK);
  const program = ["3", "/bin/sh", "-c", script];
  return [output, folder, "", "", ...program, "PATH=/bin:/usr/bin", `ZB_BUILD_TOP=${folder}`];
}

const isAlive = (pid: number | string): boolean =>
  existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));

/** What the script wrote into the file, once it did. */
async function words(file: string): Promise<string> {
  while (!existsSync(file) || readFileSync(file, "utf8") === "") {
    await new Promise(setImmediate);
  }
  return readFileSync(file, "utf8").trim();
}

test(
  "the starter ends when its daemon went away just after it ordered a builder",
  { skip },
  async () => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-starter-");
    const lines: string[] = [];
    const starter = new Starter(perl, [orders]);
    starter.begin("builder", order(folder.path, "exec sleep 1000"), (line) => lines.push(line));
    await starter[Symbol.asyncDispose]();
    assert.deepEqual(lines, ["closed 9"]);
  },
);

test(
  "the starter ends a running builder, however stubborn, when its daemon goes away",
  { skip },
  async () => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-starter-");
    const [mark, left] = [join(folder.path, "pid"), join(folder.path, "left")];
    const wait = "while :; do sleep 0.05; done";
    const script = `trap "" TERM HUP PIPE
    setsid sh -c 'trap "" TERM HUP; cd /; echo $$ >${left}; ${wait}' &
    echo $$ $PPID >${mark}; ${wait}`;
    const starter = new Starter(perl, [orders]);
    starter.begin("builder", order(folder.path, script), () => {});
    const [pid = "", parent = ""] = (await words(mark)).split(" ");
    const child = await words(left);
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.kill(Number(parent), name);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.ok(isAlive(parent) && isAlive(pid), "a signal meant for the daemon does not end it");
    await starter[Symbol.asyncDispose]();
    assert.deepEqual([parent, pid, child].filter(isAlive), []);
  },
);

test("another starter is had when one was killed", { skip }, async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-starter-");
  await using starter = new Starter(perl, [orders]);
  const ended = Promise.withResolvers<string>();
  const script = order(folder.path, "kill -KILL $PPID");
  starter.begin("builder", script, (line) => line.startsWith("closed") && ended.resolve(line));
  assert.equal(await ended.promise, "closed 9");
  const lines: string[] = [];
  const another = script.map((word) => (word.startsWith("kill") ? "exit 3" : word));
  await new Promise<void>((resolve) => {
    starter.begin("builder", another, (line) => {
      lines.push(line);
      if (line.startsWith("closed")) resolve();
    });
  });
  assert.deepEqual(lines, ["ended 3 0", "closed 0"]);
});

describe("a builder that is to begin when another has ended", { skip }, () => {
  interface Bench {
    /** Orders one that begins at once. */
    readonly begin: (name: string, script: string) => Order;
    /** Orders one that begins when fewer than `most` run; `program` is what runs its script. */
    readonly queue: (name: string, script: string, most: number, program?: string) => Order;
    /** What was told of all of them, in order. */
    readonly told: readonly string[];
    readonly until: (line: string) => Promise<void>;
    /** Lets the builder `name` go on that waits for that with `wait`. */
    readonly release: (name: string) => void;
  }

  const wait = "until [ -e go ]; do sleep 0.01; done";

  async function withStarter(act: (bench: Bench) => Promise<void>): Promise<void> {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-starter-");
    await using starter = new Starter(perl, [orders]);
    const told: string[] = [];
    const begin = (
      kind: string,
      name: string,
      script: string,
      most: readonly string[],
      program = "/bin/sh",
    ): Order => {
      const own = join(folder.path, name);
      mkdirSync(own);
      const hear = (line: string): void => void told.push(`${name} ${line}`);
      const words = order(own, script).map((word) => (word === "/bin/sh" ? program : word));
      return starter.begin(kind, [...most, ...words], hear);
    };
    await act({
      begin: (name, script) => begin("builder", name, script, []),
      queue: (name, script, most, program) => begin("next", name, script, [String(most)], program),
      told,
      until: async (line) => {
        const end = Date.now() + 15_000;
        while (!told.includes(line)) {
          assert.ok(Date.now() < end, `never told: ${line}; but ${told.join(", ")}`);
          await new Promise(setImmediate);
        }
      },
      release: (name) => writeFileSync(join(folder.path, name, "go"), ""),
    });
  }

  test("begins then, without being ordered again", { timeout: 20_000 }, async () => {
    await withStarter(async ({ begin, queue, told, until, release }) => {
      begin("first", wait);
      queue("second", ":", 1);
      queue("third", "exit 4", 1);
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.deepEqual(told, []);
      release("first");
      await until("third closed 0");
      assert.deepEqual(told, [
        "first ended 0 0",
        "first closed 0",
        "second begun",
        "second ended 0 0",
        "second closed 0",
        "third begun",
        "third ended 4 0",
        "third closed 0",
      ]);
    });
  });

  test("begins at once where there is room", { timeout: 20_000 }, async () => {
    await withStarter(async ({ begin, queue, told, until, release }) => {
      begin("first", wait);
      queue("second", ":", 2);
      await until("second closed 0");
      assert.deepEqual(told, ["second begun", "second ended 0 0", "second closed 0"]);
      release("first");
      await until("first closed 0");
    });
  });

  test("does not begin when it was sent a signal before", { timeout: 20_000 }, async () => {
    await withStarter(async ({ begin, queue, told, until, release }) => {
      begin("first", wait);
      const second = queue("second", ":", 1);
      queue("third", ":", 1);
      second("signal", "TERM");
      await until("second closed 0");
      release("first");
      await until("third closed 0");
      assert.deepEqual(told, [
        "second dropped",
        "second closed 0",
        "first ended 0 0",
        "first closed 0",
        "third begun",
        "third ended 0 0",
        "third closed 0",
      ]);
    });
  });

  test("begins, too, when the one before could not be started", { timeout: 20_000 }, async () => {
    await withStarter(async ({ begin, queue, told, until }) => {
      const first = begin("first", "exec sleep 1000");
      queue("second", ":", 1, "/nowhere/program");
      queue("third", ":", 1);
      first("signal", "KILL");
      await until("third closed 0");
      assert.deepEqual(told, [
        "first ended 0 9",
        "first closed 0",
        "second begun",
        "second fault 2",
        "second closed 0",
        "third begun",
        "third ended 0 0",
        "third closed 0",
      ]);
    });
  });
});

/** What a process says that has nothing to do but this with a starter, whose program is the shell script. */
async function saidWith(program: string, deeds: string): Promise<string> {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-starter-");
  const path = join(folder.path, "program");
  writeFileSync(path, `#!/bin/sh\n${program}\n`, { mode: 0o755 });
  const script = `
    import { Starter } from ${JSON.stringify(new URL("starter.ts", import.meta.url).href)};
    const starter = new Starter(${JSON.stringify(path)}, []);
    ${deeds}
  `;
  const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script];
  return execFileSync(process.execPath, args, { encoding: "utf8" });
}

test("a process with nothing else to do waits for the starter's end, however late its line ends", async () => {
  const deeds = `
    starter.warm();
    await new Promise((done) => setTimeout(done, 350));
    void starter[Symbol.asyncDispose]().then(() => console.log("it has ended"));
  `;
  assert.equal(await saidWith("sleep 0.7 2>&- &", deeds), "it has ended\n");
});

test("a process with nothing else to do waits for the starter's end, however early its line ends", async () => {
  const deeds = 'starter.begin("builder", [], (line) => console.log(line));';
  assert.equal(await saidWith("exec 3>&-; sleep 0.5", deeds), "closed 9\n");
});

test("a process with nothing else to do waits for the starter's end though its last builder ends meanwhile", async () => {
  const deeds = `
    starter.begin("builder", [], (line) => console.log(line));
    void starter[Symbol.asyncDispose]().then(() => console.log("it has ended"));
  `;
  const program = "cat <&3 >/dev/null; echo '1 closed 0' >&3; exec 3>&-; sleep 0.5";
  assert.equal(await saidWith(program, deeds), "closed 0\nit has ended\n");
});
