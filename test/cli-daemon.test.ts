// `kiln serve`, and the commands that talk to it.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, lstatSync, renameSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { StoreClient } from "../src/rpc/client.ts";
import { hostFolders, Place, shellTargets, until } from "./support/cli.ts";
import { kilnProgram } from "./support/world.ts";

const project = shellTargets({
  default: "echo hi > $out",
  bad: "echo oops; exit 3",
  slow: "echo started; sleep 60",
});

describe("kiln serve", () => {
  test("makes its folders, listens, and ends with 0 after SIGTERM and after SIGINT", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      await using place = new Place();
      const daemon = await place.serve();
      assert.equal(statSync(place.store).mode & 0o7777, 0o1775);
      assert.equal(statSync(dirname(place.socket)).mode & 0o7777, 0o755);
      assert.equal(lstatSync(place.socket).mode & 0o777, 0o660);
      assert.match(daemon.stderr(), /^kiln: \d{4}\/\d\d\/\d\d \d\d:\d\d:\d\d INFO: Listening on /m);
      daemon.process.kill(signal);
      const { code } = await daemon.ended;
      assert.equal(code, 0, daemon.stderr());
      assert.ok(!existsSync(place.socket));
    }
  });

  test("takes flags before and after its name, and says once how builders are isolated", async () => {
    await using place = new Place();
    const socket = join(place.directory, "s");
    const database = join(place.directory, "x/db.sqlite");
    const before = ["--db", database, "--jobs=3"];
    const after = ["--store-socket", socket, "--build-users-group=", "--socket-mode", "0600"];
    const daemon = place.start([...before, "serve", ...after]);
    await until(daemon, () => daemon.stderr().includes("Listening on"));
    assert.equal(lstatSync(socket).mode & 0o777, 0o600);
    assert.ok(existsSync(database));
    await using client = await StoreClient.connect(socket);
    const hello = await client.hello();
    assert.equal(hello?.jobs, 3);
    assert.equal(hello?.storeDirectory, place.store);
    assert.equal(hello?.pid, daemon.process.pid);
    await until(daemon, () => daemon.stderr().includes("builders are isolated"));
    assert.equal(daemon.stderr().match(/isolated/g)?.length, 1);
  });

  test("does not heed what kiln build says of building, which is refused or said", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    await place.serve([`--sandbox-path=${hostFolders.join(" ")}`]);
    for (const flags of [["--max-build-time", "2s"], ["--sandbox"]]) {
      const refused = await place.run(["build", ...flags]);
      assert.equal(refused.code, 1, refused.stderr);
      const claim = `error: ${flags[0]} has no effect: the daemon at ${place.socket} builds [daemon.flags]`;
      assert.ok(refused.stderr.includes(claim), refused.stderr);
    }
    assert.deepEqual(place.objects(), []);
    const built = await place.run(["build", "--jobs=3", "--sandbox=false"]);
    assert.equal(built.code, 0, built.stderr);
    assert.match(built.stderr, /^kiln: warning: --jobs has no effect: the daemon at \S+ builds$/m);
  });

  test("writes its log as JSON for programs, with the build that a line is about", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    const daemon = place.start([
      "serve",
      "--build-users-group=",
      "--sandbox-path=/bin /usr /lib /lib64",
      "--log-format=json",
      "--debug",
    ]);
    await until(daemon, () => daemon.stderr().includes("Listening on"));
    const built = await place.run(["build", ".#default"]);
    assert.equal(built.code, 0, built.stderr);
    await until(daemon, () => daemon.stderr().includes(": built"));
    daemon.process.kill("SIGTERM");
    await daemon.ended;
    const lines = daemon
      .stderr()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    for (const { time, level, message } of lines) {
      assert.match(String(time), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
      assert.match(String(level), /^(?:debug|info|warn|error)$/);
      assert.equal(typeof message, "string");
    }
    const ended = lines.find(({ message }) => /^build \S+: built$/.test(String(message)));
    assert.equal(ended?.["message"], `build ${String(ended?.["buildID"])}: built`);
  });

  test("refuses the socket of a living daemon, and the store of one", async () => {
    await using place = new Place();
    const daemon = await place.serve();
    const same = await place.run(["serve", "--build-users-group="]);
    assert.equal(same.code, 1);
    assert.match(same.stderr, /process \d+, a daemon or kiln ui, listens at .*\[socket\.inUse\]/);
    const other = await place.run([
      "serve",
      "--build-users-group=",
      `--store-socket=${place.directory}/o`,
    ]);
    assert.equal(other.code, 1);
    assert.match(
      other.stderr,
      new RegExp(`in use by process ${daemon.process.pid} \\[store\\.locked\\]`),
    );
    const eval_ = await place.run(["build", "nope"]);
    assert.match(eval_.stderr, /file\.missing/, "the first daemon still answers");
  });

  test("replaces the socket of a daemon that was killed", async () => {
    await using place = new Place();
    const first = await place.serve();
    first.process.kill("SIGKILL");
    await first.ended;
    assert.ok(existsSync(place.socket));
    const second = await place.serve();
    second.process.kill("SIGTERM");
    assert.equal((await second.ended).code, 0);
  });

  test("listens on the socket that systemd passes, and leaves it there", async () => {
    await using place = new Place();
    const socket = join(place.directory, "systemd.sock");
    const made = join(place.directory, "made.sock");
    const listener = createServer().listen(made);
    await once(listener, "listening");
    const { fd } = (listener as unknown as { _handle: { fd: number } })._handle;
    const command =
      'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$0" serve --systemd --build-users-group=';
    const daemon = spawn("sh", ["-c", command, kilnProgram], {
      env: { PATH: process.env["PATH"], HOME: place.directory, ZB_STORE_DIR: place.store },
      stdio: ["ignore", "inherit", "pipe", fd],
    });
    // This process must not accept what is meant for the daemon, and its close would remove the name.
    renameSync(made, socket);
    listener.close();
    let log = "";
    daemon.stderr!.on("data", (chunk: Buffer) => (log += chunk.toString()));
    await using client = await StoreClient.connect(socket);
    assert.equal((await client.hello())?.storeDirectory, place.store);
    await client.close();
    daemon.kill("SIGTERM");
    const [code] = (await once(daemon, "exit")) as [number | null];
    assert.equal(code, 0, log);
    assert.ok(existsSync(socket));
  });

  test("keeps its objects apart from its store directory with --real-store", async () => {
    await using place = new Place();
    const real = join(place.directory, "real");
    await place.serve([`--real-store=${real}`]);
    await using client = await StoreClient.connect(place.socket);
    const hello = await client.hello();
    assert.deepEqual([hello?.storeDirectory, hello?.realStoreDirectory], [place.store, real]);
    assert.ok(!existsSync(place.store));
  });
});

describe("commands with a daemon", () => {
  test("build there, see the builds, the logs and the environment", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    const daemon = await place.serve(["--sandbox-path=/bin /usr /lib /lib64"]);
    const built = await place.run(["build"]);
    assert.equal(built.code, 0, `${built.stderr}\n${daemon.stderr()}`);
    const failed = await place.run(["build", ".#bad"]);
    assert.equal(failed.code, 1);
    const list = (await place.run(["ps", "-a"])).stdout.toString();
    assert.match(list, /^BUILD +STATE/);
    assert.match(list, / failed .* bad$/m);
    assert.match(list, / built .* main$/m);
    const log = await place.run(["log", "bad"]);
    assert.equal(log.stdout.toString(), "oops\n*** Build failed: exit status 3\n", log.stderr);
    const env = (await place.run(["derivation", "env", "."])).stdout.toString();
    assert.match(env, /^HOME=\/home-not-set$/m);
    assert.match(env, /^name=main$/m);
    const json = JSON.parse((await place.run(["derivation", "env", "--json"])).stdout.toString());
    assert.equal((json as { builder: string }).builder, "/bin/sh");
  });

  test("a builder's host path that serve does not offer is named with the flag", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    await place.serve();
    const ended = await place.run(["build"]);
    assert.equal(ended.code, 1);
    assert.match(
      ended.stderr,
      /\/bin is not available here: a daemon offers only what it is told; .*--sandbox-path=\/bin /,
    );
  });

  test("cancel ends a build, and its command says so", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    await place.serve(["--sandbox-path=/bin /usr /lib /lib64"]);
    const run = place.start(["build", "-L", ".#slow"]);
    await until(run, () => run.stderr().includes("slow| started"));
    const [, id = ""] =
      /^([0-9a-f]{8}) +▸ running/m.exec((await place.run(["ps"])).stdout.toString()) ?? [];
    const follow = place.start(["log", "-f", id]);
    await until(follow, () => follow.stdout().includes("started\n"));
    const cancelled = await place.run(["cancel", id]);
    assert.equal(cancelled.code, 0, cancelled.stderr);
    const ended = await run.ended;
    assert.equal(ended.code, 1, ended.stderr);
    assert.match(ended.stderr, /kiln: cancelled: 1 cancelled/);
    assert.equal((await follow.ended).code, 0, follow.stderr());
    const late = await place.run(["cancel", id]);
    assert.equal(late.code, 1);
    assert.equal(late.stderr, `kiln: build ${id} has ended already: cancelled\n`);
  });

  test("a daemon that ends says so to who builds, and its log is kept", async () => {
    for (const [signal, said] of [
      ["SIGTERM", /error: the daemon ended during build [0-9a-f]{8} .*\n {2}try {3}build again/],
      ["SIGKILL", /error: lost the daemon during build [0-9a-f]{8} /],
    ] as const) {
      await using place = new Place();
      place.write("kiln.build.ts", project);
      const daemon = await place.serve(["--sandbox-path=/bin /usr /lib /lib64"]);
      const run = place.start(["build", "-L", ".#slow"]);
      await until(run, () => run.stderr().includes("slow| started"));
      daemon.process.kill(signal);
      const { code, stderr } = await run.ended;
      assert.equal(code, 1);
      assert.match(stderr, said);
      assert.doesNotMatch(stderr, /FAILED/);
      await daemon.ended;
      assert.match((await place.run(["ps", "-a"])).stdout.toString(), /interrupted .* slow$/m);
      const log = await place.run(["log", "slow"]);
      assert.equal(
        log.stdout.toString(),
        "started\n*** Build failed: the daemon stopped during this build\n",
        log.stderr,
      );
    }
  });

  test("what runs is listed, however much has ended since it began", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    await place.serve(["--sandbox-path=/bin /usr /lib /lib64"]);
    const run = place.start(["build", "-L", ".#slow"]);
    await until(run, () => run.stderr().includes("slow| started"));
    for (let ended = 0; ended < 2; ended++) assert.equal((await place.run(["build"])).code, 0);
    const list = async (args: readonly string[]): Promise<string[]> =>
      (await place.run(["ps", ...args])).stdout.toString().trim().split("\n").slice(1);
    const running = await list(["-n", "1"]);
    assert.equal(running.length, 1);
    assert.match(running[0]!, /^[0-9a-f]{8} +▸ running .* slow +slow \S+s$/);
    assert.match((await list(["-a", "-n", "1"])).join("\n"), / reused .* main$/);
  });

  test("--db has no effect on a daemon's store, which is said", async () => {
    await using place = new Place();
    await place.serve();
    const { code, stderr } = await place.run(["gc", "--dry-run", "--db", "x"]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^kiln: warning: --db has no effect: the daemon at \S+ has the store$/m);
  });

  test("objects are shown, moved out and in, and deleted", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    await place.serve(["--sandbox-path=/bin /usr /lib /lib64"]);
    const path = (await place.run(["build"])).stdout.toString().trim();
    const info = await place.run(["store", "object", "info", path]);
    assert.match(info.stdout.toString(), new RegExp(`^StorePath: ${path}\nNarHash: sha256:`));
    const json = await place.run(["store", "object", "info", "--json", path]);
    assert.deepEqual(Object.keys(JSON.parse(json.stdout.toString()) as object), [
      "narHash",
      "narSize",
      "references",
      "ca",
    ]);
    const file = join(place.directory, "x.export");
    assert.equal((await place.run(["store", "object", "export", "-o", file, path])).code, 0);
    const stdout = (await place.run(["store", "object", "export", path])).stdout;
    assert.equal(stdout.length, statSync(file).size);

    await using second = new Place();
    const there = path.replace(place.store, second.store);
    const foreign = await second.run(["store", "object", "import", file]);
    assert.equal(foreign.code, 1, "an object of another store directory");
    assert.match(foreign.stderr, /refused .*\[path\./);
    assert.equal((await second.run(["store", "object", "info", there])).code, 1);

    const gone = await place.run(["store", "object", "delete", path]);
    assert.equal(gone.code, 0, gone.stderr);
    assert.ok(!existsSync(path));
    const missing = await place.run(["store", "object", "info", path]);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /does not exist \[store\.missing\]/);
    const back = await place.run(["store", "object", "import", file]);
    assert.equal(back.code, 0, back.stderr);
    assert.match(back.stderr, new RegExp(`imported ${path}`));
    const again = await place.run(["store", "object", "import", file, file]);
    assert.equal(again.stderr.match(/already there/g)?.length, 2);
    assert.ok(existsSync(path));
  });

  test("a daemon of another store directory is refused, and both are named", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    await place.serve();
    const other = join(place.directory, "other/store");
    const ended = await place.run(["build", "--store", other, "--store-socket", place.socket]);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /\[daemon\.directory\]/);
    assert.ok(ended.stderr.includes(other) && ended.stderr.includes(place.store));
    assert.ok(!existsSync(other));
  });
});
