// Garbage collection as people meet it: `kiln gc`, `kiln root`, links to results, and builds that go on meanwhile.
import assert from "node:assert/strict";
import { rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { hostFolders, Place, shellTargets } from "./support/cli.ts";

const project = `import { derivation } from "kiln-store";
const shell = { builder: "/bin/sh", systemDeps: ${JSON.stringify(hostFolders)} };
const run = (name, script, env) =>
  derivation({ ...shell, name, args: ["-c", script], env: { PATH: "/bin:/usr/bin", ...env } });
const base = run("base", "sleep 0.05; echo base > $out", {});
export const left = run("left", "sleep 0.05; cat $base > $out; echo $base >> $out", { base });
export const right = run("right", "sleep 0.05; cat $base > $out; echo left >> $out", { base });
export default run("top", "cat $left $right > $out; echo $left >> $out", { left, right });
`;

const shelled = [`--sandbox-path=${hostFolders.join(" ")}`];

describe("garbage collection", () => {
  test("links of results are roots, names are, and the rest goes", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    await place.serve(shelled);
    const built = await place.run(["build", "-o", "keep"]);
    assert.equal(built.code, 0, built.stderr);
    const path = built.stdout.toString().trim();
    const listed = await place.run(["root", "list", "--json"]);
    const root = JSON.parse(listed.stdout.toString()) as Record<string, unknown>;
    assert.deepEqual(
      [root["name"], root["kind"], root["path"]],
      [join(place.project, "keep"), "link", path],
    );

    const early = await place.run(["gc"]);
    assert.equal(early.code, 0, early.stderr);
    assert.match(early.stderr, /removed 0 objects/);
    assert.match(early.stderr, /used lately: --older-than 0s/);
    const dry = await place.run(["gc", "--dry-run", "--older-than=0s"]);
    assert.match(dry.stderr, /would remove [1-9]/);
    const before = place.objects().length;
    const swept = await place.run(["gc", "--older-than=0s"]);
    const removed = swept.stdout.toString().trim().split("\n");
    assert.deepEqual(removed.toSorted(), dry.stdout.toString().trim().split("\n").toSorted());
    assert.equal(place.objects().length, before - removed.length);
    assert.ok(!removed.includes(path));
    // What the result refers to is kept: left, and base, which left refers to.
    assert.equal(place.objects().length, 3);

    const needed = await place.run(["gc", "--delete", "keep"]);
    assert.equal(needed.code, 1);
    assert.match(needed.stderr, /is needed by the link .*keep \[gc\.alive\]/);
    assert.equal((await place.run(["root", "add", "mine", "keep"])).code, 0);
    rmSync(join(place.project, "keep"));
    assert.match((await place.run(["gc", "--older-than=0s"])).stderr, /removed 0 objects/);
    assert.equal((await place.run(["root", "rm", "mine"])).code, 0);
    const gone = await place.run(["gc", "--delete", path]);
    assert.equal(gone.code, 0, gone.stderr);
    assert.equal(gone.stdout.toString().trim(), path);
    assert.equal(place.objects().length, 2);
    const again = await place.run(["build", "-o", "keep"]);
    assert.equal(again.stdout.toString().trim(), path, "what was collected is built again");
  });

  test("without a daemon it does the same, and a build waits for it", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    assert.equal((await place.run(["build", "--sandbox=false"])).code, 0);
    const [swept, built] = await Promise.all([
      place.run(["gc", "--older-than=0s", "--json"]),
      place.run(["build", "--sandbox=false", "-o", "keep"]),
    ]);
    assert.equal(swept.code, 0, swept.stderr);
    assert.equal(built.code, 0, built.stderr);
    const { removed } = JSON.parse(swept.stdout.toString()) as { removed: object[] };
    assert.ok(removed.length === 0 || removed.length > 3);
    assert.equal((await place.run(["store", "verify", "--contents"])).code, 0);
  });

  test("builds go on while everything that nothing needs is collected all the time", async () => {
    await using place = new Place();
    const scripts: Record<string, string> = { default: "echo main > $out" };
    for (let i = 0; i < 12; i++)
      scripts[`t${i}`] = `echo ${i}; sleep 0.0${i % 4}; echo ${i} > $out`;
    place.write(
      "kiln.build.ts",
      `${project}\n${shellTargets(scripts).replace("export default", "export const more =").replace('import { derivation } from "kiln-store";', "").replace("const shell", "const other").replaceAll("...shell", "...other")}`,
    );
    await place.serve([...shelled, "--jobs=4"]);
    const over = new AbortController();
    let collections = 0;
    const collecting = (async (): Promise<void> => {
      while (!over.signal.aborted) {
        const swept = await place.run(["gc", "--older-than=0s"]);
        assert.equal(swept.code, 0, swept.stderr);
        collections++;
      }
    })();
    try {
      for (let round = 0; round < 3; round++) {
        const builds = await Promise.all([
          place.run(["build", ".#default", "-o", "one"]),
          place.run([
            "build",
            ".#left",
            ".#right",
            ...Object.keys(scripts)
              .slice(1)
              .map((name) => `.#${name}`),
          ]),
        ]);
        for (const built of builds) assert.equal(built.code, 0, built.stderr);
      }
    } finally {
      over.abort();
      await collecting;
    }
    assert.ok(collections >= 2, `${collections} collections`);
    await delay(5);
    assert.equal((await place.run(["gc", "--older-than=0s"])).code, 0);
    assert.equal(place.objects().length, 3, "what the link needs");
    assert.equal((await place.run(["store", "verify", "--contents"])).code, 0);
  });

  test("says what is wrong with what it was told", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    await place.serve(shelled);
    symlinkSync("/nowhere", join(place.project, "astray"));
    const cases: [string[], RegExp][] = [
      [["gc", "keep"], /--delete/],
      [["gc", "--delete"], /which objects/],
      [["gc", "--older-than", "soon"], /older-than/],
      [["gc", "--max-size", "-1"], /max-size/],
      [["root", "add", "astray"], /does not point at an object/],
      [["root", "add", "name"], /no link: which object/],
      [["root", "add", "a b", "/nowhere"], /./],
      [["root", "remove", "nobody"], /there is no root nobody/],
      [["store", "verify", "--before", "later"], /before/],
    ];
    for (const [args, message] of cases) {
      const ended = await place.run(args);
      assert.equal(ended.code, 1, args.join(" "));
      assert.match(ended.stderr, message, args.join(" "));
    }
  });
});
