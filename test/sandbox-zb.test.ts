// The unmodified zb clients against a `kiln serve` that isolates, as zb's own systemd unit starts its server: same store paths, same
// words in the logs as from a server that does not.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { needsZb, needsZbHead, zb, zbHead } from "./support/peers.ts";
import { userDaemon } from "./support/sandbox-daemon.ts";
import {
  type Daemon,
  type Ended,
  kilnProgram,
  makeBuildUsers,
  needsWorld,
  World,
} from "./support/world.ts";

const fixtures = fileURLToPath(new URL("./fixtures/lua", import.meta.url));

const hostFolders = ["/bin", "/lib", "/lib64", "/usr"].filter((path) => existsSync(path));
const withHostFolders = [
  `--sandbox-path=${hostFolders.join(" ")}`,
  ...hostFolders.map((path) => `--implicit-system-dep=${path}`),
];

/** What zb's unit says: one shell for everybody, and nothing else. */
const asInUnit = ["--sandbox-path=/bin/sh=/bin/dash", "--implicit-system-dep=/bin/sh"];

/** Builders that need nothing but a shell. */
const shellOnly = `
local function run(name, script, extra)
  local t = { name = name, system = "x86_64-linux", builder = "/bin/sh", args = { "-c", script } }
  for k, v in pairs(extra or {}) do t[k] = v end
  return derivation(t)
end
hello = run("hello.txt", "read -r line <$src; echo \\"$line\\" >$out; echo building >&2", { src = path "hello.txt" })
both = run("both", "echo $hello $PWD >$out; read -r line <$hello; echo \\"$line\\" >>$out", { hello = hello.out })
nosy = run("nosy", "[ ! -e /etc/hostname ] && [ ! -e /usr/bin ] && [ $$ -lt 20 ] && echo alone >$out")
`;

for (const [version, client, skip] of [
  ["v0.1.0", zb, needsWorld || needsZb],
  ["v0.2", zbHead, needsWorld || needsZbHead],
] as const) {
  describe(`zb's client ${version} against a kiln serve that isolates`, { skip }, () => {
    let world: World;
    let daemon: Daemon;
    const build = async (...targets: string[]): Promise<Ended> =>
      await world.run(
        client!,
        ["--store-socket", daemon.socket, "build", ...targets.map((name) => `build.lua#${name}`)],
        { cwd: join(world.directory, "lua") },
      );
    /** Stops the daemon, empties the store, starts another. */
    const restart = async (flags: readonly string[]): Promise<void> => {
      await daemon?.stop();
      await world.run("sh", ["-c", "rm -rf /opt/zb *.db*"]);
      daemon = await world.serve(kilnProgram, flags);
    };

    before(async () => {
      world = await World.open();
      cpSync(fixtures, join(world.directory, "lua"), { recursive: true, verbatimSymlinks: true });
      const made = await world.run("sh", ["-c", makeBuildUsers]);
      assert.equal(made.code, 0, made.stderr);
    });
    after(async () => {
      await daemon?.stop();
      await world?.[Symbol.asyncDispose]();
    });

    test("builds with the flags of zb's systemd unit, for build users", async () => {
      await restart([...asInUnit, "--build-users-group=zbld"]);
      writeFileSync(join(world.directory, "lua/shell.lua"), shellOnly);
      const run = async (name: string): Promise<Ended> =>
        await world.run(client!, ["--store-socket", daemon.socket, "build", `shell.lua#${name}`], {
          cwd: join(world.directory, "lua"),
        });
      for (const [name, content] of [
        ["both", /^\/opt\/zb\/store\/\S+-hello\.txt \/build\n.+\n$/],
        ["nosy", /^alone\n$/],
      ] as const) {
        const ended = await run(name);
        assert.equal(ended.code, 0, ended.stderr);
        const path = ended.stdout.toString().trim();
        const shown = await world.run("cat", [path]);
        assert.match(shown.stdout.toString(), content);
        const owner = await world.run("stat", ["-c", "%u %g %a %Y", path]);
        assert.equal(owner.stdout.toString(), "0 0 444 0\n");
      }
      // It is said when it is found out, beside the first answers.
      assert.match(daemon.log(), /builders are isolated: user mount pid/);
    });

    test("gets the same store paths and the same failures as without isolation", async () => {
      const outcomes: string[][] = [];
      for (const flags of [withHostFolders, [...withHostFolders, "--sandbox=false"]]) {
        await restart([...flags, "--build-users-group="]);
        const said: string[] = [];
        for (const targets of [
          ["diamond", "selfish", "tree", "text", "usesFixed"],
          ["fails"],
          ["killed"],
          ["noOutput"],
          ["wrongHash"],
        ]) {
          const ended = await build(...targets);
          const paths = ended.stdout.toString();
          const logged = [...ended.stderr.matchAll(/^.*(\*\*\* Build failed.*)$/gm)].map(
            ([, line = ""]) => line,
          );
          said.push(`${targets.join(" ")}: ${ended.code}\n${paths}${logged.join("\n")}`);
        }
        outcomes.push(said);
      }
      assert.match(outcomes[0]?.[0] ?? "", /: 0\n(?:\/opt\/zb\/store\/.*\n){5}/);
      assert.match(outcomes[0]?.[1] ?? "", /: 1\n.*exit status 3/);
      assert.match(outcomes[0]?.[2] ?? "", /signal: killed/);
      assert.deepEqual(outcomes[0], outcomes[1]);
    });
  });
}

for (const [version, client, skip] of [
  ["v0.1.0", zb, needsZb],
  ["v0.2", zbHead, needsZbHead],
] as const) {
  test(
    `zb's client ${version} builds with a plain user's daemon, and gets everybody's paths`,
    { skip },
    async () => {
      await using place = await userDaemon.open();
      const { socket } = await place.serve();
      const lua = join(place.folder, "lua");
      cpSync(fixtures, lua, { recursive: true, verbatimSymlinks: true });
      const args = ["--store-socket", socket, "build", "build.lua#one", "build.lua#tree"];
      const { stdout } = await promisify(execFile)(client!, args, {
        cwd: lua,
        env: { PATH: process.env["PATH"], HOME: place.folder },
      });
      assert.equal(
        stdout,
        // What zb's own server gives.
        "/opt/zb/store/v72vbgkk9a202j2ibjgyc3vi59p5df0b-one.txt\n/opt/zb/store/bfif934z56y395ynvlzip7ili8rkbd69-tree\n",
      );
    },
  );
}
