// Completion as shells do it.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { hostFolders, Place, shellTargets } from "./support/cli.ts";
import { kilnProgram } from "./support/world.ts";

const path = `${dirname(kilnProgram)}:${process.env["PATH"]}`;

function hasProgram(name: string): boolean {
  return spawnSync(name, ["--version"]).status === 0;
}

/** What bash proposes for a line that is being written. */
async function inBash(place: Place, line: string): Promise<string[]> {
  // As readline splits it: "=" stands for itself.
  const words = line.split(/\s+|(?<==)|(?==)/).map((word) => `'${word}'`);
  const script = `set -u; source <(kiln completion bash)
    COMP_WORDS=(${words.join(" ")}); COMP_CWORD=${words.length - 1}
    _kiln; ((\${#COMPREPLY[@]})) && printf '%s\\n' "\${COMPREPLY[@]}"; complete -p kiln >&2`;
  const child = spawn("bash", ["--norc", "-c", script], {
    cwd: place.project,
    env: { PATH: path, HOME: place.directory, ZB_STORE_DIR: place.store },
  });
  let [text, complaints] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (complaints += chunk.toString()));
  await once(child, "close");
  assert.equal(complaints, "complete -F _kiln kiln\n");
  return text.split("\n").filter(Boolean);
}

describe("bash", { skip: !hasProgram("bash") && "bash is not here" }, () => {
  test("gets commands, flags and values", async () => {
    await using place = new Place();
    for (const [line, expected] of [
      ["kiln store object ", ["info", "export", "import", "delete"]],
      ["kiln store why", ["why-depends"]],
      ["kiln store list --sort=", ["path", "size"]],
      ["kiln store list --sort=s", ["size"]],
      ["kiln store list --sort=size --pa", ["--paths"]],
      ["kiln --store x bui", ["build"]],
      ["kiln nonsense ", []],
    ] as const) {
      assert.deepEqual(await inBash(place, line), expected, line);
    }
  });

  test("gets the targets of a build file, and the builds of the daemon", async () => {
    await using place = new Place();
    place.write("sub/kiln.build.ts", shellTargets({ default: "true", lib: "true", tool: "true" }));
    assert.deepEqual(await inBash(place, "kiln build sub#"), ["sub#lib", "sub#tool"]);
    assert.deepEqual(await inBash(place, "kiln build sub#t"), ["sub#tool"]);
    place.write("sub/kiln.build.ts", "export const broken = ;");
    assert.deepEqual(await inBash(place, "kiln build sub#"), []);
    assert.deepEqual(await inBash(place, "kiln cancel "), [], "nobody is there");
    await place.serve([`--sandbox-path=${hostFolders.join(" ")}`]);
    await place.run(["build", "nothing.drv"]);
    assert.deepEqual(await inBash(place, "kiln cancel "), []);
    place.write("said/kiln.build.ts", shellTargets({ default: "echo hello; echo > $out" }));
    assert.equal((await place.run(["build", "said"])).code, 0);
    const [name, id, ...more] = await inBash(place, "kiln log ");
    assert.deepEqual([name, more], ["main", []]);
    assert.match(id ?? "", /^[0-9a-f]{8}$/);
  });

  test("gets what was built, and the roots, without a daemon, too", async () => {
    await using place = new Place();
    assert.deepEqual(await inBash(place, "kiln log "), [], "there is no store");
    place.write("kiln.build.ts", shellTargets({ default: "echo hello; echo > $out" }));
    assert.equal((await place.run(["build", "-o", "out"])).code, 0);
    assert.equal((await place.run(["root", "add", "release", "./out"])).code, 0);
    const [name, id, ...more] = await inBash(place, "kiln log ");
    assert.deepEqual([name, more], ["main", []]);
    assert.match(id ?? "", /^[0-9a-f]{8}$/);
    assert.deepEqual(await inBash(place, "kiln root remove rel"), ["release"]);
    assert.deepEqual(await inBash(place, "kiln cancel "), []);
  });

  const noTerminal =
    spawnSync("script", ["-qec", "true", "/dev/null"]).status !== 0 && "script(1) is not here";

  test("completes what is typed, and file names", { skip: noTerminal }, async () => {
    await using place = new Place();
    mkdirSync(join(place.project, "some-folder/inner"), { recursive: true });
    using child = spawn("script", ["-qefc", "bash --norc --noprofile -i", "/dev/null"], {
      cwd: place.project,
      env: {
        PATH: path,
        HOME: place.directory,
        ZB_STORE_DIR: place.store,
        TERM: "dumb",
        PS1: "$ ",
        INPUTRC: "/dev/null",
        LANG: "C.UTF-8",
      },
    });
    let shown = "";
    child.stdout.on("data", (chunk: Buffer) => (shown += chunk.toString()));
    const until = async (what: string | RegExp): Promise<void> => {
      const deadline = performance.now() + 20_000;
      const isThere = (): boolean =>
        typeof what === "string" ? shown.includes(what) : what.test(shown);
      while (!isThere()) {
        assert.ok(performance.now() < deadline, `waited for ${what}:\n${shown}`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    // What is completed is shown by echo, when the line is given.
    child.stdin.write("source <(kiln completion bash); echo rea''dy\n");
    await until(/\nready/);
    for (const [typed, completed] of [
      ["kiln store why\t; echo do''ne", "kiln store why-depends ; echo do''ne"],
      ["kiln store list --sort=si\t--pa\t", "kiln store list --sort=size --paths "],
      ["kiln build some\tinn\t", "kiln build some-folder/inner/"],
      ["kiln --store=some\t", "kiln --store=some-folder/"],
    ] as const) {
      child.stdin.write(typed);
      await until(completed);
      child.stdin.write("\u0015"); // take the line away
    }
    child.stdin.write("exit\n");
    await once(child, "close");
  });
});

for (const shell of ["zsh", "fish"] as const) {
  test(
    `${shell} understands its script`,
    { skip: !hasProgram(shell) && `${shell} is not here` },
    async () => {
      await using place = new Place();
      const { stdout, code } = await place.run(["completion", shell]);
      assert.equal(code, 0);
      const script = join(place.directory, `completion.${shell}`);
      writeFileSync(script, stdout);
      const parsed = spawnSync(shell, ["-n", script], { encoding: "utf8" });
      assert.deepEqual([parsed.status, parsed.stderr], [0, ""]);
    },
  );
}

test("every shell has a script; another one gets a hint", async () => {
  await using place = new Place();
  for (const shell of ["bash", "zsh", "fish"]) {
    const { stdout, code } = await place.run(["completion", shell]);
    assert.equal(code, 0);
    assert.match(
      stdout.toString(),
      new RegExp(`^(#compdef kiln\\n)?# kiln completion for ${shell}`),
    );
  }
  const other = await place.run(["completion", "tcsh"]);
  assert.equal(other.code, 1);
  assert.match(other.stderr, /bash, zsh, fish.*\[usage\.value\]/s);
});
