// The commands that look into the store, with a daemon and without one.
import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hostFolders, Place } from "./support/cli.ts";
import type { Ended } from "./support/world.ts";

const buildFile = `import { derivation, text } from "kiln-store";
const shell = { builder: "/bin/sh", systemDeps: ${JSON.stringify(hostFolders)}, env: { PATH: "/bin:/usr/bin" } };
const step = (name, inputs, script) =>
  derivation({ ...shell, name, env: { ...shell.env, ...inputs }, args: ["-c", script] });
const base = step("base", {}, "printf %01000d 0 > $out");
const left = step("left", { base }, "mkdir $out; echo $base > $out/file; ln -s $base $out/link; echo none > $out/other");
const right = step("right", { base }, "echo $base > $out");
export default step("top", { left, right }, "echo $left $right > $out");
export const alone = step("alone", {}, "echo alone > $out");
`;

for (const mode of ["daemon", "embedded"] as const) {
  describe(`kiln store, ${mode}`, () => {
    const place = new Place();
    let [top, left, right, base] = ["", "", "", ""];

    async function store(...args: string[]): Promise<Ended> {
      return await place.run(["store", ...args]);
    }

    /** What a successful command prints, a line each. */
    async function lines(...args: string[]): Promise<string[]> {
      const ended = await store(...args);
      assert.equal(ended.code, 0, ended.stderr);
      return ended.stdout.toString().trimEnd().split("\n");
    }

    async function json(...args: string[]): Promise<Record<string, unknown>[]> {
      return (await lines(...args, "--json")).map((line) => JSON.parse(line));
    }

    before(async () => {
      place.write("kiln.build.ts", buildFile);
      if (mode === "daemon") await place.serve([`--sandbox-path=${hostFolders.join(" ")}`]);
      const built = await place.run(["build", "-q", ".#default", ".#alone"]);
      assert.equal(built.code, 0, built.stderr);
      const outputs = (await lines("list", "--paths")).filter((path) => !path.endsWith(".drv"));
      [top, left, right, base] = ["top", "left", "right", "base"].map(
        (name) => outputs.find((path) => path.endsWith(`-${name}`)) ?? name,
      ) as [string, string, string, string];
    });
    after(async () => await place[Symbol.asyncDispose]());

    test("list shows every object with its size, by path or by size", async () => {
      const ended = await store("list");
      const shown = ended.stdout.toString().trimEnd().split("\n");
      const paths = shown.map((line) => line.replace(/^ *[\d.]+ (B|KiB)  /, ""));
      assert.deepEqual(
        paths,
        place
          .objects()
          .map((name) => join(place.store, name))
          .toSorted(),
      );
      assert.match(ended.stderr, new RegExp(`^kiln: ${shown.length} objects, [\\d.]+ KiB$`, "m"));
      const objects = await json("list", "--sort=size");
      const sizes = objects.map(({ narSize }) => narSize as number);
      assert.deepEqual(
        sizes,
        sizes.toSorted((a, b) => b - a),
      );
      assert.equal(objects[0]?.["path"], base);
    });

    test("closure shows what is needed, or what needs it; a link leads to an object", async () => {
      const link = join(place.directory, `link-${mode}`);
      symlinkSync(top, link);
      assert.deepEqual(
        await lines("closure", "--paths", link),
        [top, left, right, base].toSorted(),
      );
      assert.deepEqual(
        await lines("closure", "--paths", "--referrers", `${left}/file`),
        [left, top].toSorted(),
      );
      const [first] = await json("closure", base);
      assert.deepEqual(first, { path: base, narSize: 1112, references: [] });
    });

    test("tree shows the references", async () => {
      const [first, second] = [left, right].toSorted();
      const shown = (await lines("tree", top)).map((line) => line.replace(/ {2}[\d.]+ .*$/, ""));
      assert.deepEqual(shown, [
        top,
        `├── ${first}`,
        `│   └── ${base}`,
        `└── ${second}`,
        `    └── ${base}`,
      ]);
      assert.match(
        (await lines("tree", "--depth=0", top))[0]!,
        / {2}\d+ B, with references [\d.]+ KiB$/,
      );
      const up = await lines("tree", "--referrers", base);
      assert.equal(up.length, 5);
      const nodes = await json("tree", top);
      assert.deepEqual(
        nodes.map(({ path }) => path),
        [top, left, right, base].toSorted(),
      );
      assert.equal(nodes.find(({ path }) => path === base)?.["closureSize"], 1112);
    });

    test("why-depends shows a way, all ways, and the files", async () => {
      assert.equal((await lines("why-depends", top, base)).length, 3);
      const all = await lines("why-depends", "--all", "--files", top, base);
      assert.equal(all.filter((line) => line.includes(base)).length, 2);
      assert.ok(
        all.some((line) => line.endsWith("in file, link")),
        all.join("\n"),
      );
      const [answer] = await json("why-depends", "--files", left, base);
      assert.deepEqual(answer, {
        from: left,
        to: base,
        chain: [left, base],
        references: [{ referrer: left, reference: base, files: ["file", "link"] }],
      });
      const not = await store("why-depends", base, top);
      assert.equal(not.code, 1);
      assert.match(not.stderr, /does not depend on .*\[depends\.not\]/);
      const none = await store("why-depends", "--json", base, top);
      assert.equal(none.code, 1);
      assert.deepEqual((JSON.parse(none.stdout.toString()) as { chain: string[] }).chain, []);
    });

    test("objects are found by links that lead to them", async () => {
      const said = (await lines("object", "info", base))[0];
      symlinkSync(base, join(place.project, "linked"));
      for (const link of ["linked", "./linked", join(place.project, "linked")]) {
        assert.equal((await lines("object", "info", link))[0], said);
      }
      const absent = await store("object", "info", "./absent");
      assert.match(absent.stderr, /there is no file \.\/absent \[path\.invalid\]/);
    });

    test("object export and delete take what leads to an object, too", async () => {
      const link = join(place.directory, `alone-${mode}`);
      const built = await place.run(["build", "-q", ".#alone", "-o", link]);
      const path = built.stdout.toString().trim();
      const byLink = await store("object", "export", link);
      assert.equal(byLink.code, 0, byLink.stderr);
      const byPath = await store("object", "export", path);
      assert.ok(byLink.stdout.equals(byPath.stdout));
      assert.match((await store("object", "export", "./absent")).stderr, /there is no file/);
      assert.match((await store("object", "delete", "./absent")).stderr, /there is no file/);
      const deleted = await store("object", "delete", "-r", link);
      assert.equal(deleted.stderr, `kiln: deleted ${path}\n`);
      assert.equal((await place.run(["build", "-q", ".#alone"])).code, 0);
    });

    test("says what is not in the store, and what is no path", async () => {
      const absent = `${place.store}/${"0".repeat(32)}-absent`;
      assert.match((await store("tree", absent)).stderr, /is not in the store/);
      assert.match((await store("closure", "nonsense")).stderr, /\[path\.invalid\]/);
    });
  });
}
