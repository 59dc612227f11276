// Commands that zb has, too: Kiln's own command line writes the same bytes as zb's, asked the same of the same daemon.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { needsZb, zb } from "./support/peers.ts";
import { type Daemon, kilnProgram, needsWorld, World } from "./support/world.ts";

const project = `import { derivation, fetchUrl, path, placeholder } from "kiln-store";
const shell = { builder: "/bin/sh", env: { PATH: "/bin:/usr/bin" } };
export const base = derivation({ ...shell, name: "base", args: ["-c", "echo '<base>' > $out"] });
export const top = derivation({ ...shell, name: "top", args: ["-c", \`cat \${base} $src > $out; echo $out >> $out\`], env: { ...shell.env, src: path("./src.txt") } });
export const bare = derivation({ name: "bare", builder: "/bin/true" });
export const file = fetchUrl({ name: "file", url: "http://localhost:1/a?b&c", hash: "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" });
`;

describe("kiln and zb on the same daemon", { skip: needsWorld || needsZb }, () => {
  let world: World;
  let daemon: Daemon;
  let topPath = "";
  let drvPaths: string[] = [];
  before(async () => {
    world = await World.open();
    writeFileSync(join(world.directory, "kiln.build.ts"), project);
    writeFileSync(join(world.directory, "src.txt"), "source\n");
    daemon = await world.serve(kilnProgram, ["--sandbox=false", "--build-users-group="]);
    const socket = ["--store-socket", daemon.socket];
    const built = await world.run(kilnProgram, [...socket, "build", ".#top"]);
    assert.equal(built.code, 0, built.stderr);
    topPath = built.stdout.toString().trim();
    const targets = [".#base", ".#top", ".#bare", ".#file"];
    const evaluated = await world.run(kilnProgram, [...socket, "eval", ...targets]);
    drvPaths = evaluated.stdout.toString().trim().split("\n");
    await world.run(kilnProgram, [...socket, "build", ".#bare", ".#file"]); // both fail, and are in the store then
  });
  after(async () => await world?.[Symbol.asyncDispose]());

  const missing = `/opt/zb/store/${"0".repeat(32)}-missing`;
  const questions: [name: string, args: () => string[]][] = [
    ["store object info", () => ["store", "object", "info", topPath]],
    ["store object info of several", () => ["store", "object", "info", topPath, ...drvPaths]],
    ["store object info --json", () => ["store", "object", "info", "--json", topPath, ...drvPaths]],
    [
      "store object info of one that is missing",
      () => ["store", "object", "info", topPath, missing],
    ],
    ["store object info of none", () => ["store", "object", "info"]],
    ["store object export", () => ["store", "object", "export", topPath]],
    [
      "store object export without references",
      () => ["store", "object", "export", "--references=false", topPath],
    ],
    ["derivation show", () => ["derivation", "show", world.path(drvPaths[1]!)]],
    ["nar pack", () => ["nar", "pack", "src.txt"]],
    ["nar pack of what is missing", () => ["nar", "pack", "nothing"]],
    ["serve with a bad flag", () => ["serve", "--sandbox=maybe"]],
    ["an unknown command", () => ["nothing"]],
  ];
  for (const [name, args] of questions)
    test(`${name} writes the same and ends the same`, async () => {
      const command = ["--store-socket", daemon.socket, ...args()];
      const ours = await world.run(kilnProgram, command);
      const theirs = await world.run(zb!, command);
      assert.deepEqual(
        [ours.code, ours.stdout.toString("latin1")],
        [theirs.code, theirs.stdout.toString("latin1")],
        ours.stderr,
      );
    });

  for (const several of [false, true])
    for (const json of [false, true])
      test(`derivation show ${json ? "--json " : ""}of ${several ? "several" : "each"} writes the same`, async () => {
        assert.equal(drvPaths.length, 4);
        for (const paths of several ? [drvPaths] : drvPaths.map((path) => [path])) {
          const command = ["derivation", "show", ...(json ? ["--json"] : []), ...paths];
          const ours = await world.run(kilnProgram, command);
          const theirs = await world.run(zb!, command);
          assert.equal(ours.code, 0, ours.stderr);
          assert.equal(ours.stdout.toString(), theirs.stdout.toString());
        }
      });

  test("nar pack --self-references writes the same and prints the same path", async () => {
    const packed = await Promise.all(
      [kilnProgram, zb!].map(async (program, at) => {
        const output = `${at}.nar`;
        const command = ["nar", "pack", "--self-references", "-o", output, topPath];
        const ended = await world.run(program, command);
        assert.equal(ended.code, 0, ended.stderr);
        const bytes = readFileSync(join(world.directory, output));
        return [ended.stdout.toString(), bytes.toString("base64")];
      }),
    );
    assert.deepEqual(packed[0], packed[1]);
  });
});

describe("kiln with zb's daemon", { skip: needsWorld || needsZb }, () => {
  test("builds, shows a failure, moves objects", async () => {
    await using world = await World.open();
    writeFileSync(
      join(world.directory, "kiln.build.ts"),
      `${project}
export const bad = derivation({ ...shell, name: "bad", args: ["-c", "echo oops; exit 3"] });`,
    );
    writeFileSync(join(world.directory, "src.txt"), "source\n");
    const daemon = await world.serve(zb!, ["--sandbox=false", "--build-users-group="]);
    const kiln = async (...args: string[]) =>
      await world.run(kilnProgram, ["--store-socket", daemon.socket, ...args]);
    const built = await kiln("build", ".#top");
    assert.equal(built.code, 0, built.stderr);
    const path = built.stdout.toString().trim();
    assert.match(path, /^\/opt\/zb\/store\/.*-top$/);
    const failed = await kiln("build", ".#bad");
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /bad FAILED: .*exit status 3/);
    assert.match(failed.stderr, /^bad\| oops$/m);
    const exported = await kiln("store", "object", "export", path);
    assert.equal(exported.code, 0, exported.stderr);
    const again = await world.run(
      kilnProgram,
      ["--store-socket", daemon.socket, "store", "object", "import"],
      { input: exported.stdout },
    );
    assert.equal(again.code, 0, again.stderr);
    const env = await kiln("derivation", "env", ".#base");
    assert.match(env.stdout.toString(), /^name=base$/m);
    const refused = await kiln("store", "object", "delete", path);
    assert.match(refused.stderr, /\[daemon\.foreign\]/);
  });
});
