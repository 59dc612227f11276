// What zb's commands do around the store, where no other test has it.
import assert from "node:assert/strict";
import { existsSync, lstatSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { damage, makeZbStore, placeOf, samples } from "../src/store/adopt/adopt.test.support.ts";
import { hostFolders, Place, shellTargets, until } from "./support/cli.ts";

const offered = `--sandbox-path=${hostFolders.join(" ")}`;
const project =
  `${shellTargets({ default: "echo hi > $out", slow: "echo started; until [ -e $GO ]; do sleep 0.05; done; echo > $out" })}
export const user = derivation({ ...shell, name: "user", env: { ...shell.env, low: path("./low.txt") }, args: ["-c", "echo $low > $out"] });
`.replace("{ derivation }", "{ derivation, path }");

describe("kiln store object", () => {
  test("register takes records from stdin, through the daemon and without one", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    place.write("low.txt", "low");
    const built = (await place.run(["build"])).stdout.toString().trim();
    const record = (await place.run(["store", "object", "info", built])).stdout.toString();
    for (const daemon of [false, true]) {
      if (daemon) await place.serve();
      const same = await place.run(["store", "object", "register"], { input: record });
      assert.equal(same.code, 0, same.stderr);
      const other = record.replace(/NarSize: \d+/, "NarSize: 8");
      const refused = await place.run(["store", "object", "register"], { input: other });
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /does not match existing data/);
      const partial = record.replace(/NarHash: .*\n/, "");
      const incomplete = await place.run(["store", "object", "register"], { input: partial });
      assert.equal(incomplete.code, 1);
      assert.match(incomplete.stderr, /NarHash is missing/);
    }
  });

  test("delete works without a daemon, and removes what refers to it with -r", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    place.write("low.txt", "low");
    const user = (await place.run(["build", ".#user"])).stdout.toString().trim();
    const closure = await place.run(["store", "closure", "--paths", user]);
    const low = closure.stdout
      .toString()
      .split("\n")
      .find((path) => path.endsWith("-low.txt"));
    assert.ok(low !== undefined, closure.stdout.toString());
    const refused = await place.run(["store", "object", "delete", low]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /other objects refer to these/);
    const absent = join(place.store, `${"0".repeat(32)}-absent`);
    const missing = await place.run(["store", "object", "rm", user, absent]);
    assert.equal(missing.code, 1);
    assert.ok(existsSync(user), "nothing is deleted when one of them is not there");
    const gone = await place.run(["store", "object", "rm", "-r", low]);
    assert.equal(gone.code, 0, gone.stderr);
    assert.ok(!existsSync(low) && !existsSync(user));
  });
});

describe("kiln serve", () => {
  test("SIGUSR2 lets running builds end, takes no new ones, and then ends the daemon", async () => {
    await using place = new Place();
    const go = join(place.directory, "go");
    place.write("kiln.build.ts", project.replaceAll("$GO", go));
    place.write("low.txt", "low");
    const daemon = await place.serve([offered]);
    const running = place.start(["build", "-L", ".#slow"]);
    await until(running, () => running.stderr().includes("slow| started"));
    daemon.process.kill("SIGUSR2");
    await until(daemon, () => daemon.stderr().includes("Draining"));
    const late = await place.run(["build"]);
    assert.equal(late.code, 1);
    assert.match(late.stderr, /not starting new builds/);
    place.write("../go", "");
    assert.equal((await running.ended).code, 0, running.stderr());
    assert.equal((await daemon.ended).code, 0, daemon.stderr());
  });
});

describe("kiln derivation", () => {
  test("derivation env fills in the directory it is given", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    place.write("low.txt", "low");
    await place.serve([offered]);
    const ended = await place.run(["derivation", "env", "--temp-dir", "/work here"]);
    assert.equal(ended.code, 0, ended.stderr);
    const lines = ended.stdout.toString().trimEnd().split("\n");
    for (const name of ["PWD", "TEMP", "TEMPDIR", "TMP", "TMPDIR", "ZB_BUILD_TOP"]) {
      assert.ok(lines.includes(`${name}=/work here`), name);
    }
    assert.deepEqual(lines, lines.toSorted());
  });
});

describe("kiln store adopt", () => {
  for (const damaged of [false, true]) {
    test(`adopt ends with ${damaged ? "1 when objects were left out" : "0 when all were taken"}`, async () => {
      await using place = new Place();
      const zb = await makeZbStore(place.directory);
      if (damaged) damage(placeOf(zb, samples.source), (file) => chop(file));
      const args = ["store", "adopt", "--store=/opt/zb/store", `--real-store=${zb.store}`];
      const socket = `--store-socket=${place.directory}/none`;
      const ended = await place.run([...args, socket, `--zb-db=${zb.database}`]);
      assert.equal(ended.code, damaged ? 1 : 0, ended.stderr);
      assert.match(ended.stdout.toString(), /^adopted /);
      if (damaged) assert.match(ended.stderr, /left out: .*-source/);
    });
  }
});

describe("kiln init", () => {
  test("makes a folder whose first build file is built, and leaves what is there", async () => {
    await using place = new Place();
    const first = await place.run(["init"]);
    assert.equal(first.code, 0, first.stderr);
    const built = await place.run(["build", "-q"]);
    assert.equal(readFileSync(built.stdout.toString().trim(), "utf8"), "Hello!\n", built.stderr);
    const second = await place.run(["init"]);
    assert.doesNotMatch(second.stderr, /tsconfig/);
    const config = place.write("tsconfig.json", "{}");
    const file = place.write("kiln.build.ts", project);
    const again = await place.run(["init"]);
    assert.match(again.stderr, /tsconfig\.json is yours/);
    assert.equal(readFileSync(config, "utf8") + readFileSync(file, "utf8"), `{}${project}`);
    assert.ok(lstatSync(join(place.project, ".kiln/kiln-store.d.ts")).isFile());
  });
});

describe("kiln eval --twice", () => {
  const secrets: Readonly<Record<string, string>> = {
    "the folder": "import.meta.dirname",
    "the time zone": "Intl.DateTimeFormat().resolvedOptions().timeZone",
    "the locale": "(1234.5).toLocaleString()",
  };
  for (const [secret, expression] of Object.entries(secrets)) {
    test(`finds what depends on ${secret}`, async () => {
      await using place = new Place();
      place.write(
        "kiln.build.ts",
        `import { derivation } from "kiln-store";
         export default derivation({ name: "x", builder: "/bin/sh", args: [${expression}] });
         export const pure = derivation({ name: "y", builder: "/bin/sh" });`,
      );
      const impure = await place.run(["eval", "--twice"]);
      assert.equal(impure.code, 1, impure.stderr);
      assert.match(impure.stderr, /x is not the same when evaluated again \[eval\.impure\]/);
      assert.equal((await place.run(["eval", "--twice", ".#pure"])).code, 0);
    });
  }
});

/** Makes a file another one. */
function chop(file: string): void {
  writeFileSync(file, "something else");
}
