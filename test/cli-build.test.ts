// `kiln build` as people run it: what is printed where, exit codes, what a second run does, how it ends when it is interrupted.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Place, shellTargets, until } from "./support/cli.ts";
import { kilnProgram, needsWorld, World } from "./support/world.ts";

const storePath = /^\/.*\/store\/[0-9a-df-np-sv-z]{32}-[\w.+=-]+$/;

function lines(text: string | Buffer): string[] {
  return text.toString().split("\n").filter(Boolean);
}

/** A project with a few targets: some good, one that fails, one that needs another. */
const project = `${shellTargets({
  default: "echo hi > $out",
  app: "echo building app; echo app > $out",
  bad: "i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i; done; exit 3",
})}
export const needsBad = derivation({ ...shell, name: "needs-bad", args: ["-c", \`cat \${bad} > $out\`] });
export const two = derivation({ ...shell, name: "two", outputs: ["out", "dev"], args: ["-c", "echo o > $out; echo d > $dev"] });
`;

describe("kiln build", () => {
  test("prints the store path; the second run builds nothing, says so, and prints it again", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    const first = await place.run(["build"]);
    assert.equal(first.code, 0, first.stderr);
    const [path = "", ...more] = lines(first.stdout);
    assert.deepEqual(more, []);
    assert.match(path, storePath);
    assert.equal(readFileSync(path, "utf8"), "hi\n");
    assert.match(first.stderr, /^kiln: 1 derivation: 1 to build$/m);
    assert.match(first.stderr, /^kiln: \[1\/1\] main built in \S+$/m);
    assert.match(first.stderr, /^kiln: 1 built in \S+$/m);

    const second = await place.run(["build"]);
    assert.equal(second.code, 0, second.stderr);
    assert.equal(second.stdout.toString(), `${path}\n`);
    assert.match(second.stderr, /^kiln: nothing to build: 1 reused \(\S+\)$/m);
    assert.deepEqual(place.leftovers(), []);
  });

  test("prints results in the order in which they were named, outputs by name, parts alone", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    place.write("other/kiln.build.ts", shellTargets({ default: "echo other > $out" }));
    const ended = await place.run(["build", ".#two", "other", ".#app", ".#two/dev", ".#app"]);
    assert.equal(ended.code, 0, ended.stderr);
    const contents = lines(ended.stdout).map((path) => readFileSync(path, "utf8").trim());
    assert.deepEqual(contents, ["d", "o", "other", "app", "d", "app"]);
  });

  test("shows the last 20 lines of a failure, the log command and the derivation, and exits with 1", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    const ended = await place.run(["build", ".#app", ".#needsBad"]);
    assert.equal(ended.code, 1, ended.stderr);
    // What could be built was, and is printed.
    assert.equal(lines(ended.stdout).length, 1);
    assert.match(ended.stdout.toString(), /-app\n$/);
    const { stderr } = ended;
    assert.match(stderr, /bad FAILED: builder exited with status 3/);
    assert.doesNotMatch(stderr, /^bad\| line 10$/m);
    for (const line of [12, 20, 30]) assert.match(stderr, new RegExp(`^bad\\| line ${line}$`, "m"));
    assert.match(stderr, /^kiln: derivation: \S+-bad\.drv$/m);
    assert.match(stderr, /^kiln: try: kiln build \.#app \.#needsBad --keep-failed$/m);
    assert.match(stderr, /^kiln: needs-bad skipped: bad failed$/m);
    assert.match(stderr, /^kiln: failed: 1 failed, 1 skipped, 1 built in /m);
    const [, ...words] = /^kiln: log: kiln (log) (\S+) (\S+)$/m.exec(stderr) ?? [];
    const log = await place.run(words);
    assert.equal(log.code, 0, log.stderr);
    assert.equal(lines(log.stdout)[0], "line 1");
    assert.equal(lines(log.stdout).at(-1), "*** Build failed: exit status 3");
    assert.deepEqual(place.leftovers(), []);
  });

  test("keeps the directory of a failed builder with -k", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", shellTargets({ default: "echo left > here; exit 1" }));
    const ended = await place.run(["build", "-k"]);
    assert.equal(ended.code, 1);
    const kept = /the build directory of main is kept: (\S+)/.exec(ended.stderr)?.[1] ?? "";
    assert.equal(readFileSync(join(kept, "here"), "utf8"), "left\n");
  });

  test("--json has events on stdout and nothing else", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    const ended = await place.run(["build", "--json", ".#app", ".#bad"]);
    assert.equal(ended.code, 1);
    const events = lines(ended.stdout).map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.equal(events[0]?.["type"], "build.started");
    assert.equal(events.at(-1)?.["type"], "build.finished");
    assert.equal(events.at(-1)?.["status"], "fail");
    const numbers = events.map((event) => Number(event["seq"]));
    assert.deepEqual(
      numbers,
      numbers.toSorted((x, y) => x - y),
    );
    for (const event of events) {
      assert.equal(event["v"], 1);
      assert.match(String(event["time"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.notEqual(event["type"], "log");
    }
    const failed = events.find((e) => e["type"] === "result.finished" && e["state"] === "failed");
    assert.match(JSON.stringify(failed?.["failure"]), /"code":"builder\.exit"/);
    assert.match(ended.stderr, /^kiln: made a new store in \S+\n$/);
    const logs = await place.run(["build", "--json", "-L", ".#bad"]);
    assert.match(logs.stdout.toString(), /"type":"log"/);
  });

  test("a failure shows what looks like the cause, however much was written after it", async () => {
    await using place = new Place();
    const script =
      "echo 'a.c:3: error: no b'; for i in $(seq 30); do echo leaving $i; done; exit 2";
    place.write("kiln.build.ts", shellTargets({ default: script }));
    const ended = await place.run(["build"]);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /\| line 1: a\.c:3: error: no b\n\S+\| …\n\S+\| leaving 11\n/);
    assert.match(ended.stderr, /\| leaving 30\n/);
  });

  test("-q says nothing, -L all log lines, -v reasons and paths", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    const quiet = await place.run(["build", "-q"]);
    assert.equal(quiet.stderr, "");
    const logs = await place.run(["build", "-L", ".#app"]);
    assert.match(logs.stderr, /^app\| building app$/m);
    const verbose = await place.run(["build", "-v", ".#two"]);
    assert.match(verbose.stderr, /two built in \S+ \(never built with success\)/);
    assert.match(verbose.stderr, /^kiln: two\.dev -> \//m);
  });

  test("-o makes links", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    const ended = await place.run(["build", "-o", "out", ".#two", ".#app"]);
    assert.match(ended.stderr, /^kiln: out -> \S+-two\nkiln: out-2 -> \S+-app$/m);
    assert.equal(ended.code, 0, ended.stderr);
    const links = ["out-dev", "out", "out-2"].map((name) =>
      readlinkSync(join(place.project, name)),
    );
    assert.deepEqual(links, lines(ended.stdout));
  });

  test("takes a derivation by its path in the store, and from a file", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    const built = await place.run(["build"]);
    const drvPath = (await place.run(["eval"])).stdout.toString().trim();
    const again = await place.run(["build", drvPath]);
    assert.equal(again.stdout.toString(), built.stdout.toString(), again.stderr);
    const text = (await place.run(["derivation", "show", ".#app"])).stdout.toString();
    place.write("app.drv", text);
    const fromFile = await place.run(["build", "app.drv"]);
    assert.equal(fromFile.code, 0, fromFile.stderr);
    const fromTarget = await place.run(["build", ".#app"]);
    assert.equal(fromFile.stdout.toString(), fromTarget.stdout.toString());
    assert.match(fromTarget.stderr, /nothing to build/);
  });

  test("the second of two commands waits for the first, and says for which process", async () => {
    await using place = new Place();
    const go = join(place.directory, "go");
    place.write(
      "kiln.build.ts",
      shellTargets({ default: `while ! [ -e ${go} ]; do sleep 0.05; done; echo hi > $out` }),
    );
    // A builder in a sandbox would not see the file.
    const first = place.start(["build", "--sandbox=false"]);
    await until(first, () => first.stderr().includes("to build"));
    const second = place.start(["build"]);
    await until(second, () => second.stderr().includes("waiting for process"));
    assert.match(
      second.stderr(),
      new RegExp(
        `waiting for process ${first.process.pid}, which uses .* lets both work: kiln serve`,
      ),
    );
    mkdirSync(go);
    assert.equal((await first.ended).code, 0);
    const ended = await second.ended;
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stderr, /nothing to build: 1 reused/);
  });

  test(
    "a standard store that cannot be written gives way to the user's own, which is named",
    { skip: needsWorld },
    async () => {
      await using world = await World.open();
      mkdirSync(join(world.directory, "p"));
      writeFileSync(join(world.directory, "p/kiln.build.ts"), project);
      const readOnly = 'mount -t tmpfs -o ro tmpfs /opt && exec "$0" build p';
      const ended = await world.run("sh", ["-c", readOnly, kilnProgram]);
      assert.equal(ended.code, 0, ended.stderr);
      const own = `${world.directory}/.local/share/kiln/opt/zb/store`;
      assert.match(ended.stdout.toString(), /^\/opt\/zb\/store\/\S+-main\n$/);
      assert.match(
        ended.stderr,
        new RegExp(`^kiln: using the store in ${own}: /opt/zb/store cannot be`, "m"),
      );
    },
  );
});

describe("what a builder lacks of the machine is named, with what to add:", () => {
  for (const [name, options, said] of [
    [
      "a loader that no named path has",
      'systemDeps: ["/bin"], args: ["-c", "echo > $out"]',
      /fork\/exec \/bin\/sh: no such file or directory: it runs by \/\S+, which the sandbox lacks; add (?:"\/lib(?:64)?", )+"\/usr" to systemDeps \(/,
    ],
    [
      "the search path, where there are programs",
      'systemDeps: ["/bin", "/lib", "/lib64", "/usr"], args: ["-c", "mkdir $out"]',
      /status 127: a program is missing\? No PATH is set; add env: \{ PATH: "\/bin:\/usr\/bin" \}/,
    ],
    [
      "programs and the search path",
      'systemDeps: ["/bin/sh"], args: ["-c", "mkdir $out"]',
      /systemDeps: \["\/bin", .*\], and are found by env: \{ PATH/,
    ],
    [
      "a path in one that is offered",
      'systemDeps: ["/bin/no-such"]',
      /\/bin\/no-such is not available here: name \/bin, which has it, or kiln serve --sandbox-path=\/bin\/no-such offers it by itself; available: .*\/usr/,
    ],
    [
      "a path that nothing offers",
      'systemDeps: ["/etc"]',
      /\/etc is not available here: available: \/bin\/sh, .*\/usr.*; kiln serve --sandbox-path=\/etc offers it/,
    ],
  ] as const) {
    test(name, async () => {
      await using place = new Place();
      place.write(
        "kiln.build.ts",
        `import { derivation } from "kiln-store";
         export default derivation({ name: "x", builder: "/bin/sh", ${options} });`,
      );
      const ended = await place.run(["build"]);
      assert.equal(ended.code, 1, ended.stderr);
      assert.match(ended.stderr, said);
    });
  }

  test("and a shell that is named goes on running when its folder is named, too", async () => {
    await using place = new Place();
    place.write(
      "kiln.build.ts",
      `import { derivation } from "kiln-store";
       const args = ["-c", "echo fine > $out"];
       export default derivation({ name: "x", builder: "/bin/sh", systemDeps: ["/bin/sh", "/bin"], args });`,
    );
    const ended = await place.run(["build"]);
    assert.equal(ended.code, 0, ended.stderr);
  });
});

test("a variable that a build file may not read is left out, and that is said once, if it is set", async () => {
  await using place = new Place();
  place.write(
    "kiln.build.ts",
    `import { derivation, env } from "kiln-store";
     const name = [env("SET"), env("SET"), env("NOT_SET"), env("GIVEN")].map(String).join("-");
     export default derivation({ name, builder: "/bin/sh" });`,
  );
  const options = { env: { SET: "1", GIVEN: "2" } };
  const ended = await place.run(["eval", "--allow-env", "GIVEN"], options);
  assert.equal(ended.code, 0, ended.stderr);
  assert.match(ended.stdout.toString(), /-undefined-undefined-undefined-2\.drv\n$/);
  assert.deepEqual(lines(ended.stderr), [
    'kiln: warning: env("SET") gives nothing: --allow-env SET lets build files read it',
  ]);
});

describe("an interrupted build", () => {
  const forever = shellTargets({
    default: "echo started; trap '' TERM; while :; do sleep 0.1; done",
  });

  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)
    test(`ends with ${code} after ${signal}, and says that it was cancelled`, async () => {
      await using place = new Place();
      place.write("kiln.build.ts", forever);
      const run = place.start(["build", "-L"]);
      await until(run, () => run.stderr().includes("main| started"));
      run.process.kill(signal);
      const ended = await run.ended;
      assert.equal(ended.code, code, ended.stderr);
      assert.match(ended.stderr, /kiln: cancelling [0-9a-f]{8}/);
      assert.match(ended.stderr, /main cancelled after/);
      assert.match(ended.stderr, /kiln: cancelled: 1 cancelled in /);
      assert.equal(ended.stdout.toString(), "");
      assert.deepEqual(place.leftovers(), []);
    });

  test("leaves at once when it is interrupted again", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", forever);
    const run = place.start(["build", "-L"]);
    await until(run, () => run.stderr().includes("main| started"));
    run.process.kill("SIGINT");
    await until(run, () => run.stderr().includes("cancelling"));
    const start = performance.now();
    run.process.kill("SIGINT");
    assert.equal((await run.ended).code, 130);
    assert.ok(performance.now() - start < 2000);
  });

  test("ends while the build file is still being read", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", "console.log('reading'); while (true);");
    const run = place.start(["build"]);
    await until(run, () => run.stderr().includes("reading"));
    run.process.kill("SIGINT");
    assert.equal((await run.ended).code, 130);
    assert.deepEqual(place.leftovers(), []);
  });

  test("ends when nobody reads its output any more", async () => {
    await using place = new Place();
    place.write(
      "kiln.build.ts",
      shellTargets({ default: "while :; do echo more; sleep 0.05; done" }),
    );
    const run = place.start(["build", "--json", "-L"]);
    await until(run, () => run.stdout().includes("more\\n"));
    run.process.stdout!.destroy();
    assert.equal((await run.ended).code, 141);
    assert.deepEqual(place.leftovers(), []);
  });
});
