import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { removeTree } from "../files/remove-tree.ts";
import type { Derivation } from "../format/derivation/derivation.ts";
import { parseStoreDirectory, parseStorePath, storePathFor } from "../format/store-path.ts";
import { bytesToString } from "../util/byte-string.ts";
import { Limiter } from "../util/limiter.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { builderEnvironment } from "./environment.ts";
import type { BuildOutcome, BuildTask } from "./executor.ts";
import { ProcessExecutor } from "./process-executor.ts";

interface Run {
  readonly outcome: BuildOutcome;
  readonly log: string;
  /** Contents of the output if it is a file, else what it is. */
  readonly output: string | undefined;
  /** The same of where it was said to be while the builder ran, at the end of that. */
  readonly watched: string;
  /** What is in the store directory afterwards. */
  readonly left: string[];
}

interface RunOptions {
  readonly builder?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly onLog?: (text: string) => void;
  readonly grace?: number;
  readonly onBegin?: () => void;
  readonly places?: Limiter;
  /** Where the executor is told that the store's paths lie; default: where they do. */
  readonly storeDirectory?: string;
}

/** Runs a builder in a store directory of its own. */
async function runWith(
  perl: string | undefined,
  script: string,
  options: RunOptions = {},
): Promise<Run> {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-process-");
  const real = join(folder.path, "store");
  const scratch = join(folder.path, "scratch");
  const workDirectory = join(folder.path, "build");
  for (const path of [real, scratch, workDirectory]) mkdirSync(path);
  const directory = parseStoreDirectory(real);
  const logical = storePathFor(directory, `${"0".repeat(32)}-x`);
  const derivation: Derivation = {
    directory,
    name: "x",
    inputDerivations: new Map(),
    inputSources: [],
    system: "x86_64-linux",
    builder: options.builder ?? "/bin/sh",
    args: options.args ?? ["-c", script],
    env: new Map([
      ["PATH", "/bin:/usr/bin"],
      ["out", logical],
      ...Object.entries(options.env ?? {}),
    ]),
    outputs: new Map([["out", { type: "floating", method: "recursive", hashType: "sha256" }]]),
  };
  let log = "";
  let watched = "";
  await using executor = new ProcessExecutor({
    storeDirectory: parseStoreDirectory(options.storeDirectory ?? real),
    realDirectory: real,
    temporaryDirectory: scratch,
    claim: async () => ({
      async [Symbol.asyncDispose]() {
        await removeTree(logical);
      },
    }),
    ...(options.grace !== undefined && { grace: options.grace }),
    ...(perl !== undefined && { perl }),
  });
  const output = join(scratch, "output");
  const task: BuildTask = {
    drvPath: parseStorePath(`${logical}.drv`),
    derivation,
    env: builderEnvironment(derivation.env, { workDirectory, storeDirectory: directory, cores: 1 }),
    workDirectory,
    outputs: new Map([["out", { logical, real: output }]]),
    inputs: [],
    realPathOf: (path) => path,
    log: {
      write: (chunk) => {
        log += Buffer.from(chunk).toString("latin1");
        options.onLog?.(log);
      },
    },
    watch: ([place = ""]) => ({
      [Symbol.dispose]() {
        if (statSync(place, { throwIfNoEntry: false })?.isFile() === true) {
          watched = readFileSync(place, "latin1");
        }
      },
    }),
    progress: () => {},
    systemDeps: [],
    ...(options.onBegin && { onBegin: options.onBegin }),
    ...(options.places && { places: { limiter: options.places, names: [], isShort: true } }),
  };
  const outcome = await executor.run(task, options.signal ?? new AbortController().signal);
  const stats = statSync(output, { throwIfNoEntry: false });
  return {
    outcome,
    log,
    output: stats?.isFile() === true ? readFileSync(output, "latin1") : stats && "not a file",
    watched,
    left: readdirSync(real),
  };
}

const done: BuildOutcome = { type: "exited", code: 0 };

/** A process that never ends by itself and cannot be asked to; it writes its id to the log, and makes a file when it has. */
const stubborn = (mark: string): string =>
  `trap "" TERM; echo $$; : >${mark}; while :; do sleep 0.05 >/dev/null; done`;
const everyOne = [
  `( ${stubborn("1")} ) &`,
  // Another session, another parent, no open output, another working directory.
  `setsid sh -c 'echo $$; exec >/dev/null 2>&1; cd /; ${stubborn('"$0"')}' "$PWD/2" &`,
  // As before, and with an empty environment, but in the build directory.
  `env -i /usr/bin/setsid /bin/sh -c 'echo $$; ${stubborn("3")}' >pids &`,
  // As before, elsewhere, but with the log open.
  `here=$PWD; (cd /; env -i /usr/bin/setsid /bin/sh -c 'echo $$; ${stubborn('"$0"')}' "$here/4") &`,
  "for n in 1 2 3 4; do until [ -e $n ]; do sleep 0.01; done; done; cat pids",
].join("\n");

const isAlive = (pid: number): boolean =>
  existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
const pidsIn = (log: string): number[] =>
  [...log.matchAll(/^\d+$/gm)].map(([text]) => Number(text));

for (const [starter, perl] of [
  ["perl", undefined],
  ["Node", "none"],
] as const) {
  const run = (script: string, options: RunOptions = {}): Promise<Run> =>
    runWith(perl, script, options);

  describe(`a builder as a plain process that ${starter} starts`, () => {
    test("makes an output, which is moved to where it is wanted", async () => {
      const { outcome, output, watched, left } = await run("echo hello > $out");
      assert.deepEqual(outcome, done);
      assert.equal(output, "hello\n");
      assert.equal(watched, "hello\n");
      assert.deepEqual(left, []);
    });

    test("has one log for both of its outputs, in order, also by name and by another process", async () => {
      const { log } = await run(
        "echo a; echo b >&2; echo c > /dev/stdout; echo d > /dev/stderr; (echo e)",
      );
      assert.equal(log, "a\nb\nc\nd\ne\n");
    });

    test("has its place when it begins, and gives it back", async () => {
      const places = new Limiter(1);
      const held: number[] = [];
      const onBegin = (): void => void held.push(places.held);
      const { outcome } = await run("echo > $out", { places, onBegin });
      assert.deepEqual(outcome, done);
      assert.deepEqual([...held, places.held], [1, 0]);
    });

    test("is ended when what is told of its begin fails, and it has no place then", async () => {
      const places = new Limiter(1);
      const full = new Error("no room for its log");
      const onBegin = (): void => {
        throw full;
      };
      const mark = join(tmpdir(), `kiln-begin-${process.pid}-${starter}`);
      const running = run(`sleep 0.3; : > ${mark}`, { places, onBegin });
      await assert.rejects(running, full);
      assert.equal(places.held, 0);
      await new Promise((resolve) => setTimeout(resolve, 400));
      assert.equal(existsSync(mark), false);
    });

    test("that was cancelled while it waited for a place does not begin", async () => {
      const places = new Limiter(1);
      using _other = places.acquireNow()!;
      const abort = new AbortController();
      const seen: string[] = [];
      const onBegin = (): void => void seen.push("begun");
      const running = run("echo > $out", { places, onBegin, signal: abort.signal });
      while (places.waiting === 0) await new Promise(setImmediate);
      abort.abort(new Error("enough"));
      await assert.rejects(running, { message: "enough" });
      assert.deepEqual([seen, places.waiting], [[], 0]);
    });

    test("may write more than a pipe holds", async () => {
      const { log } = await run("head -c 1000000 /dev/zero");
      assert.equal(log.length, 1_000_000);
    });

    test("reads nothing from standard input", async () => {
      assert.equal((await run("cat; echo end")).log, "end\n");
    });

    test("works in the build directory with umask 022, whatever the daemon's is", async () => {
      const before = process.umask(0o077);
      try {
        const { log } = await run('umask; [ "$PWD" = "$ZB_BUILD_TOP" ] && pwd -P');
        assert.match(log, /^0022\n\/.*\/build\n$/);
        assert.equal(process.umask(), 0o077);
      } finally {
        process.umask(before);
      }
    });

    test("is a child of a process beside the daemon", async () => {
      const { log } = await run("cat /proc/$PPID/cmdline; echo; echo $PPID");
      const [words = "", parent = ""] = log.split("\n");
      assert.match(words, starter === "perl" ? /starter\.pl/ : /runner-process/);
      assert.notEqual(parent, String(process.pid));
    });

    test("leads a session", async () => {
      const { log } = await run(
        "read -r stat < /proc/$$/stat; set -- $stat; [ $$ = $6 ] && echo leader",
      );
      assert.equal(log, "leader\n");
    });

    test("gets no file that the daemon has open", async () => {
      const { log } = await run("", { builder: "/bin/ls", args: ["-l", "/proc/self/fd"] });
      const targets = [...log.matchAll(/ (\d+) -> (.*)$/gm)].map(
        ([, fd, target]) => `${fd} ${target}`,
      );
      const foreign = targets.filter(
        (target) => !/^\d+ \/(dev\/null|proc\/\d+\/fd)$|^[12] \/.*\/fifo-\w+\/\d+$/.test(target),
      );
      assert.ok(targets.length >= 4, log);
      assert.deepEqual(foreign, []);
    });

    test("sees exactly the environment it was given", async () => {
      const { log } = await run("", {
        builder: "/usr/bin/env",
        args: [],
        env: { A: "1", __proto__x: "", "x y": "z" },
      });
      const names = log
        .trimEnd()
        .split("\n")
        .map((line) => line.split("=")[0]);
      assert.deepEqual(
        new Set(names),
        new Set([
          "A",
          "HOME",
          "PATH",
          "PWD",
          "TEMP",
          "TEMPDIR",
          "TERM",
          "TMP",
          "TMPDIR",
          "ZB_BUILD_CORES",
          "ZB_BUILD_TOP",
          "ZB_STORE",
          "__proto__x",
          "out",
          "x y",
        ]),
      );
    });

    test("gets arguments and variables that are not UTF-8 byte for byte", async () => {
      const odd = bytesToString(Buffer.from("a'\xff\n b", "latin1"));
      const { log, outcome } = await run("", {
        args: [
          "-c",
          'printf "[%s][%s]" "$1" "$VALUE"; [ -e /proc/$$/fd/3 ] || echo closed',
          "sh",
          odd,
        ],
        env: { VALUE: odd },
      });
      assert.deepEqual(outcome, done);
      assert.equal(log, "[a'\xff\n b][a'\xff\n b]closed\n");
    });

    const endings: [name: string, script: string, outcome: BuildOutcome][] = [
      ["its exit status", "exit 3", { type: "exited", code: 3 }],
      ["the signal that killed it", "kill -9 $$", { type: "signaled", signal: "SIGKILL" }],
      ["success without an output", ":", done],
    ];
    for (const [name, script, outcome] of endings) {
      test(`ends with ${name}`, async () => {
        const result = await run(script);
        assert.deepEqual(result.outcome, outcome);
        assert.equal(result.output, undefined);
      });
    }

    test("that fails leaves nothing of its output", async () => {
      const { output, left } = await run("echo half > $out; exit 1");
      assert.equal(output, undefined);
      assert.deepEqual(left, []);
    });

    const faults: [builder: string, message: string][] = [
      ["/no/such/builder", "no such file or directory"],
      ["/etc/passwd", "permission denied"],
      ["/etc", "permission denied"],
      ["/etc/passwd/x", "not a directory"],
      ["sh", "the builder is not an absolute path"],
      ["/bin/sh\0x", "invalid argument"],
    ];
    for (const [builder, message] of faults) {
      test(`that is ${JSON.stringify(builder)} is not started: ${message}`, async () => {
        const { outcome } = await run("", { builder });
        assert.deepEqual(outcome, {
          type: "notStarted",
          message: `fork/exec ${builder}: ${message}`,
        });
      });
    }

    test("that is a script without a first line to say for what is not started", async () => {
      await using folder = await temporaryDirectory(tmpdir(), "kiln-format-");
      const builder = join(folder.path, "script");
      writeFileSync(builder, "echo hello > $out\n", { mode: 0o755 });
      const { outcome } = await run("", { builder, args: [] });
      const message = `fork/exec ${builder}: exec format error`;
      assert.deepEqual(outcome, { type: "notStarted", message });
      writeFileSync(builder, "#!/bin/sh\necho hello > $out\n");
      assert.equal((await run("", { builder, args: [] })).output, "hello\n");
    });

    test("with too many arguments is not started", async () => {
      const { outcome } = await run("", { args: ["-c", ":", "x".repeat(300_000)] });
      assert.deepEqual(outcome, {
        type: "notStarted",
        message: "fork/exec /bin/sh: argument list too long",
      });
    });

    test("an output may be a dangling link or a directory nobody may enter", async () => {
      await using folder = await temporaryDirectory(tmpdir(), "kiln-link-");
      symlinkSync("/no-such-thing", join(folder.path, "link"));
      const link = await run("ln -s /no-such-thing $out");
      assert.deepEqual([link.outcome, link.output, link.left], [done, undefined, []]);
      const closed = await run("mkdir -m 000 $out");
      assert.deepEqual([closed.outcome, closed.output, closed.left], [done, "not a file", []]);
    });
  });

  describe(`the processes of a build that ${starter} starts`, () => {
    test("are all dead when the builder has ended by itself", async () => {
      const { outcome, log } = await run(`${everyOne}\nexit 0`);
      const pids = pidsIn(log);
      assert.deepEqual(outcome, done);
      assert.ok(pids.length >= 4, log);
      assert.deepEqual(pids.filter(isAlive), []);
    });

    test("are asked to end when the build is cancelled, and made to after the grace time", async () => {
      const controller = new AbortController();
      let log = "";
      const running = run(`${everyOne}\necho ready; ${stubborn("5")}`, {
        signal: controller.signal,
        grace: 200,
        onLog: (text) => {
          log = text;
          if (text.includes("ready")) controller.abort(new Error("cancelled"));
        },
      });
      await assert.rejects(running, { message: "cancelled" });
      const pids = pidsIn(log);
      assert.ok(pids.length >= 5, log);
      assert.deepEqual(pids.filter(isAlive), []);
    });

    test("may end in their own way when the build is cancelled", async () => {
      const controller = new AbortController();
      let log = "";
      const running = run('trap "echo bye; exit 0" TERM; echo ready; sleep 100 & wait', {
        signal: controller.signal,
        onLog: (text) => {
          log = text;
          if (text.includes("ready")) controller.abort(new Error("cancelled"));
        },
      });
      await assert.rejects(running, { message: "cancelled" });
      assert.equal(log, "ready\nbye\n");
    });

    test("are not started when the build is cancelled before", async () => {
      const running = run("echo x", { signal: AbortSignal.abort(new Error("no")) });
      await assert.rejects(running, { message: "no" });
    });

    test("end when the log cannot be written, with its error", async () => {
      const running = run("echo x; sleep 100", {
        grace: 100,
        onLog: () => {
          throw new Error("no space");
        },
      });
      await assert.rejects(running, { message: "no space" });
    });
  });
}

test("a builder without a sandbox needs the store where its paths say", async () => {
  const running = runWith(undefined, "echo x > $out", { storeDirectory: "/opt/zb/store" });
  await assert.rejects(running, { code: "store.relocated", kind: "internal" });
});
