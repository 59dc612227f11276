// `kiln build` in other ways than simply building: plans, reasons, checks, watching, leaving it to the daemon, traces; `kiln ui`.
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { hostFolders, Place, shellTargets, until } from "./support/cli.ts";

const daemonFlags = [`--sandbox-path=${hostFolders.join(" ")}`];

/** A library of a source and a variable, and an app of it. */
function project(place: Place, cflags = "-O1"): void {
  place.write(
    "kiln.build.ts",
    `import { derivation, path } from "kiln-store";
const shell = { builder: "/bin/sh", systemDeps: ${JSON.stringify(hostFolders)} };
const env = { PATH: "/bin:/usr/bin" };
export const lib = derivation({ ...shell, name: "lib", args: ["-c", "cat $src/* > $out"], env: { ...env, CFLAGS: "${cflags}", src: path("./src") } });
export default derivation({ ...shell, name: "app", args: ["-c", "cat $lib > $out"], env: { ...env, lib } });
`,
  );
}

describe("kiln build --dry-run", () => {
  test("says what would be built, fetched and reused, and builds nothing", async () => {
    await using place = new Place();
    place.write("src/a", "one");
    project(place);
    const first = await place.run(["build", "--dry-run"]);
    assert.equal(first.code, 0, first.stderr);
    assert.equal(first.stdout.toString(), "build        lib, app\n");
    assert.match(first.stderr, /^kiln: 2 derivations to build; nothing was built$/m);
    assert.deepEqual(
      place.objects().filter((name) => !/\.drv$|-src$/.test(name)),
      [],
    );
    assert.equal((await place.run(["build"])).code, 0);
    const again = await place.run(["build", "--dry-run"]);
    assert.equal(again.stdout.toString(), "reuse        2 derivations\n");
    assert.match(again.stderr, /^kiln: nothing to build$/m);
    place.write("src/b", "two");
    const changed = await place.run(["build", "--dry-run"]);
    assert.match(changed.stdout.toString(), /^build {8}lib ~\S+s, app ~\S+s\n$/);
    assert.match(changed.stderr, /^kiln: about \S+s with \d+ jobs?; nothing was built$/m);
    const plan = JSON.parse(
      (await place.run(["build", "--dry-run", "--json"])).stdout.toString(),
    ) as { counts: object };
    assert.deepEqual(plan.counts, { reuse: 0, substitute: 0, build: 2 });
  });

  test("does not go with flags that need a build", async () => {
    await using place = new Place();
    for (const flag of ["--watch", "--detach", "--trace=x"]) {
      const ended = await place.run(["build", "--dry-run", flag]);
      assert.match(
        ended.stderr,
        /error: --dry-run and --\w+ do not go together.*\[usage\.conflict\]/,
      );
      assert.equal(ended.code, 1);
    }
  });
});

test("kiln build --why goes down to the files that changed", async () => {
  await using place = new Place();
  place.write("src/greet.ts", "one");
  project(place);
  const first = await place.run(["build", "--why"]);
  assert.match(first.stderr, /^app +to build: never built with success\n└ lib +to build: never/m);
  const second = await place.run(["build", "--why"]);
  assert.match(second.stderr, /^app {2}reused: nothing changed$/m);
  place.write("src/greet.ts", "two");
  place.write("src/extra.ts", "");
  project(place, "-O2");
  const third = await place.run(["build", "--why"]);
  assert.equal(third.code, 0, third.stderr);
  const [app = "", lib, src, compared] = third.stderr.split("\n").slice(-8);
  assert.match(app, /^app +to build: an input changed$/, third.stderr);
  assert.match(lib ?? "", /^└ lib +to build: an input changed, and env\.CFLAGS "-O1" -> "-O2"$/);
  assert.match(
    src ?? "",
    /^ {2}└ src +2 files differ: extra\.ts \(added\), greet\.ts \(changed\)$/,
  );
  assert.match(compared ?? "", /^compared with the realisation of build [0-9a-f]{8}, just now$/);
});

describe("kiln build --check", () => {
  test("says that the same comes out", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", shellTargets({ default: "mkdir $out; echo $out > $out/self" }));
    const ended = await place.run(["build", "--check"]);
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stderr, /^kiln: main came out the same$/m);
    assert.match(ended.stdout.toString(), /^\/.*-main\n$/);
  });

  test("shows the first file that came out different", async () => {
    await using place = new Place();
    place.write(
      "kiln.build.ts",
      shellTargets({
        default:
          "echo $out; mkdir $out; echo $out > $out/self; cp VARIANT $out/file; cp VARIANT $out/zz; chmod $(cat VARIANT) $out/zz; sleep 0.01".replaceAll(
            "VARIANT",
            join(place.directory, "variant"),
          ),
      }),
    );
    writeFileSync(join(place.directory, "variant"), "444");
    const built = await place.run(["build", "--sandbox=false"]);
    assert.equal(built.code, 0, built.stderr);
    writeFileSync(join(place.directory, "variant"), "5555");
    const ended = await place.run(["build", "--check", "--sandbox=false"]);
    assert.equal(ended.code, 1, ended.stderr);
    assert.equal(ended.stdout.toString(), "");
    assert.match(ended.stderr, /main FAILED: output out came out different/);
    assert.match(ended.stderr, /^kiln: main: 2 differences$/m);
    assert.match(ended.stderr, /^ {2}first +file size 3 -> 4 bytes, first at byte 0$/m);
    assert.match(ended.stderr, /^ {2}also +zz \(changed\)$/m);
    assert.match(ended.stderr, /^ {2}try +diff -r /m);
    const again = await place.run(["build"]);
    assert.equal(again.stdout.toString(), built.stdout.toString(), "what was there is still used");
  });
});

test("kiln build --watch builds again after each change, and goes on after mistakes", async () => {
  await using place = new Place();
  place.write("src/a", "one");
  project(place);
  const run = place.start(["build", "--watch"]);
  const waits = (times: number) => () => run.stderr().split("waiting for changes").length > times;
  await until(run, waits(1));
  assert.equal(run.stdout().split("\n").length, 2);
  place.write("src/b", "two");
  await until(run, waits(2));
  const paths = run.stdout().trim().split("\n");
  assert.equal(new Set(paths).size, 2, run.stdout());
  assert.equal(readFileSync(paths[1] ?? "", "utf8"), "onetwo");
  const said = run.stderr();
  place.write("src/b", "two");
  place.write("kiln.build.ts", "export default [;");
  await until(run, () => run.stderr().includes("[author.syntax]"));
  const [, meanwhile = ""] = run.stderr().split(said);
  assert.doesNotMatch(meanwhile, /nothing to build/, "what changed nothing is not built again");
  await until(run, waits(3));
  project(place, "-O3");
  await until(run, waits(4));
  assert.match(run.stderr(), /lib built in/);
  run.process.kill("SIGINT");
  assert.equal((await run.ended).code, 130);
});

describe("kiln build --detach", () => {
  test("leaves the build to the daemon, and kiln attach shows it", async () => {
    await using place = new Place();
    const gate = join(place.directory, "gate");
    place.write(
      "kiln.build.ts",
      shellTargets({
        default: `echo begun; while [ ! -e ${gate} ]; do sleep 0.05; done; echo hi > $out`,
      }),
    );
    await place.serve(daemonFlags);
    const left = await place.run(["build", "--detach"]);
    assert.equal(left.code, 0, left.stderr);
    const id = left.stdout.toString().trim();
    assert.match(id, /^[0-9a-f-]{36}$/);
    assert.match(
      left.stderr,
      new RegExp(`the daemon builds main; to watch: kiln attach ${id.slice(-8)}`),
    );
    const watcher = place.start(["attach", "-L"]);
    await until(watcher, () => watcher.stderr().includes("main| begun"));
    watcher.process.kill("SIGINT");
    assert.equal((await watcher.ended).code, 130);
    assert.match(watcher.stderr(), /build [0-9a-f]{8} goes on/);
    const second = place.start(["attach", id.slice(-8), "--trace", "trace.json"]);
    writeFileSync(gate, "");
    const ended = await second.ended;
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stderr, /1 built in/);
    assert.match(ended.stdout.toString(), /^\/.*-main\n$/);
    assert.ok(existsSync(join(place.project, "trace.json")));
    const over = await place.run(["attach", id.slice(0, 20), "--trace", "again.json"]);
    const traced = JSON.parse(readFileSync(join(place.project, "again.json"), "utf8")) as {
      traceEvents: { name: string; cat?: string }[];
    };
    assert.ok(traced.traceEvents.some(({ name, cat }) => name === "main" && cat === "result"));
    assert.equal(over.stdout.toString(), ended.stdout.toString());
    assert.match((await place.run(["attach"])).stderr, /no build runs \[build\.unknown\]/);
  });

  test("needs a daemon", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", shellTargets({ default: "echo hi > $out" }));
    assert.match(
      (await place.run(["build", "--detach"])).stderr,
      /no daemon at .*\[socket\.refused\]/,
    );
  });
});

test("kiln log -f waits for a builder that has not begun; kiln ps says what runs", async () => {
  await using place = new Place();
  const gate = join(place.directory, "gate");
  project(place);
  const text = readFileSync(join(place.project, "kiln.build.ts"), "utf8");
  place.write("src/a", "one");
  place.write(
    "kiln.build.ts",
    text
      .replace(
        "cat $src/* > $out",
        `while [ ! -e ${gate} ]; do sleep 0.05; done; cat $src/* > $out`,
      )
      .replace("cat $lib > $out", "echo at last; cat $lib > $out"),
  );
  await place.serve(daemonFlags);
  const id = (await place.run(["build", "--detach"])).stdout.toString().trim();
  const early = await place.run(["log", id.slice(-8), "app"]);
  assert.match(early.stderr, /app waits in build [0-9a-f]{8}: it has no log yet \[log\.absent\]/);
  const wrong = await place.run(["log", "apq"]);
  assert.match(wrong.stderr, /"apq" is remembered \[result\.unknown\]\n {2}try {3}kiln log app$/m);
  const follower = place.start(["log", "-f", "app"]);
  await until(follower, () => follower.stderr().includes("waits; Ctrl-C"));
  const [head = "", row = ""] = (await place.run(["ps"])).stdout.toString().split("\n");
  assert.match(head, /^BUILD +STATE +DONE +TIME +USER +TARGETS +NOW$/);
  assert.match(row, new RegExp(`^${id.slice(-8)}  ▸ running +0/2 .* lib \\S+s$`));
  writeFileSync(gate, "");
  const ended = await follower.ended;
  assert.equal(ended.stdout.toString(), "at last\n");
  assert.match(ended.stderr, /^kiln: app built in \S+s$/m);
});

test("kiln build --trace writes what Perfetto reads", async () => {
  await using place = new Place();
  place.write("src/a", "one");
  project(place);
  assert.equal((await place.run(["build", "--trace", "out.json"])).code, 0);
  const trace = JSON.parse(readFileSync(join(place.project, "out.json"), "utf8")) as {
    traceEvents: { ph: string; name: string; cat?: string; ts?: number; dur?: number }[];
  };
  const slices = trace.traceEvents.filter(({ ph }) => ph === "X");
  const results = slices.filter(({ cat }) => cat === "result").map(({ name }) => name);
  assert.deepEqual(results, ["lib", "app"]);
  assert.deepEqual(
    slices.filter(({ cat }) => cat === "critical").map(({ name }) => name),
    ["lib", "app"],
  );
  assert.ok(slices.every(({ ts = -1, dur = -1 }) => ts >= 0 && dur >= 0));
  assert.ok(slices.some(({ name }) => name === "running"));
});

describe("kiln ui", () => {
  test("serves the page on a store without a daemon, and builds go through it", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", shellTargets({ default: "echo oops; exit 3" }));
    const page = place.start(["ui", "localhost:0"]);
    await until(page, () => page.stderr().includes("Ctrl-C ends"));
    const url = page.stdout().trim();
    assert.match(url, /^http:\/\/localhost:\d+\/$/);
    assert.equal((await fetch(url)).status, 200);
    const built = await place.run(["build"]);
    assert.equal(built.code, 1);
    const shown = /^kiln: page: (.*)$/m.exec(built.stderr)?.[1] ?? "";
    assert.match(shown, new RegExp(`^${url}build/[0-9a-f-]{36}/$`), built.stderr);
    assert.equal((await fetch(shown)).status, 200);
    const { builds } = (await (await fetch(`${url}api/v1/builds`)).json()) as { builds: object[] };
    assert.equal(builds.length, 1);
    const second = await place.run(["ui"]);
    assert.equal(second.stdout.toString().trim(), url, "who is there already is named");
    page.process.kill("SIGINT");
    assert.equal((await page.ended).code, 130);
    assert.deepEqual(place.leftovers(), []);
  });

  test("says which daemon has no page", async () => {
    await using place = new Place();
    await place.serve(daemonFlags);
    const ended = await place.run(["ui"]);
    assert.match(
      ended.stderr,
      /is without a page \[ui\.absent\]\n {2}try {3}start it with kiln serve --ui/,
    );
    assert.equal(ended.code, 1);
  });
});
