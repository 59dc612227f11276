/**
 * `kiln install` for real: it makes users, files and folders. `/etc`, `/usr/local` and `/opt` are copies or empty, in a mount
 * namespace that ends with the test.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../src/util/temp.ts";
import { shellTargets } from "./support/cli.ts";
import { PlainUser, withoutNamespaces } from "./support/plain-user.ts";
import { waitUntil } from "./support/sandbox.ts";
import { kilnProgram, needsWorld } from "./support/world.ts";

const skip = needsWorld || (process.getuid?.() !== 0 && "only root makes users");

/** Runs a shell script in a machine that has Kiln's checkout, but neither its users nor its folders. */
async function onNewMachine(
  script: string,
): Promise<{ code: number | null; lines: string[]; stderr: string }> {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-install-");
  const prepared = `
    set -e
    cp -a /etc ${folder.path}/etc
    mount --bind ${folder.path}/etc /etc
    for d in /usr/local /opt; do mount -t tmpfs tmpfs $d; done
    kiln() { ${kilnProgram} "$@"; }
    ${script}`;
  const run = spawnSync("unshare", ["--mount", "--propagation=private", "sh", "-c", prepared], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], HOME: folder.path },
    timeout: 120_000,
  });
  return { code: run.status, lines: run.stdout.trim().split("\n"), stderr: run.stderr };
}

test(
  "a machine gets users, folders, units and a command that works, and loses them again",
  { skip },
  async () => {
    const { code, lines, stderr } = await onNewMachine(`
    kiln install --multi-user --build-users=2 --shell= --json | grep -c done
    getent group zbld; getent passwd zbld2
    stat -c '%a %G' /opt/zb/store
    if command -v systemd-analyze > /dev/null; then
      systemd-analyze verify /etc/systemd/system/kiln-serve.service /etc/systemd/system/kiln-serve.socket
    fi
    grep ^ListenStream /etc/systemd/system/kiln-serve.socket
    /usr/local/bin/kiln version | head -n 1
    kiln install --multi-user --build-users=2 --shell= --json | grep -v '"type":"package"' | grep -c '"outcome":"done"' || :
    /usr/local/bin/kiln uninstall --multi-user 2>&1 | tail -n 1
    find /usr/local /etc/systemd/system -name 'kiln*'
    ls -d /opt/zb/store`);
    assert.equal(code, 0, stderr);
    assert.deepEqual(lines, [
      "10",
      "zbld:x:256000:zbld1,zbld2",
      "zbld2:x:256002:256000:Kiln build user:/var/empty:/usr/sbin/nologin",
      "1775 zbld",
      "ListenStream=/opt/zb/var/zb/server.sock",
      "kiln 0.1.0",
      "0",
      "kiln: uninstalled; what was built stays: /opt/zb/store, /opt/zb/var/log/zb",
      "/opt/zb/store",
    ]);
  },
);

test("the files of others are left alone", { skip }, async () => {
  const { code, lines, stderr } = await onNewMachine(`
    mkdir /usr/local/bin; echo mine > /usr/local/bin/kiln
    kiln install --multi-user --build-users=1 2>&1 || echo "exit $?"
    kiln uninstall --multi-user 2>&1 || echo "exit $?"
    cat /usr/local/bin/kiln`);
  assert.equal(code, 0, stderr);
  assert.equal(
    lines.filter((line) => line.includes("[install.taken]")).length,
    2,
    lines.join("\n"),
  );
  assert.equal(lines.filter((line) => line === "exit 1").length, 2);
  assert.equal(lines.at(-1), "mine");
});

/** What the unit files of a user's installation say. */
function unitsOf({ home }: PlainUser): { words: string[]; socket: string } {
  const read = (name: string): string =>
    readFileSync(join(home, ".config/systemd/user", name), "utf8");
  const line = /^ExecStart=(.*) \$KILN_SERVE_FLAGS$/m.exec(read("kiln-serve.service"))?.[1] ?? "";
  return {
    words: line.split(" "),
    socket: /^ListenStream=(.*)$/m.exec(read("kiln-serve.socket"))?.[1] ?? "",
  };
}

test(
  "one user's daemon has everybody's paths, and his commands find it",
  { skip: needsWorld },
  async () => {
    await using user = new PlainUser();
    const installed = await user.run(["install", "--single-user", "--shell="]);
    assert.equal(installed.code, 0, installed.stderr);
    const real = join(user.home, ".local/share/kiln/opt/zb/store");
    const { words, socket } = unitsOf(user);
    assert.deepEqual(words.slice(0, 6), [
      join(user.home, ".local/lib/kiln/bin/kiln"),
      "serve",
      "--systemd",
      "--store=/opt/zb/store",
      `--real-store=${real}`,
      `--db=${join(user.home, ".local/share/kiln/opt/zb/var/kiln/db.sqlite")}`,
    ]);
    const flags = words.slice(3);
    const daemon = user.start(["serve", `--store-socket=${socket}`, ...flags]);
    try {
      await waitUntil(() => daemon.stderr().includes("builders are isolated: user mount"), 30_000);
      user.write("project/kiln.build.ts", shellTargets({ default: "pwd >$out" }));
      const built = await user.run(["build", "-o", "link", "project"]);
      assert.match(built.stdout.toString(), /^\/opt\/zb\/store\/\S+-main\n$/, built.stderr);
      assert.equal(readFileSync(join(user.home, "link"), "utf8"), "/build\n");
      assert.ok(readlinkSync(join(user.home, "link")).startsWith(real));
      const { stdout } = await user.run(["doctor"]);
      assert.ok(stdout.includes(`answers at ${socket}; isolation: sandbox`), stdout.toString());
    } finally {
      await daemon.end();
    }
    const gone = await user.run(["uninstall", "--single-user"]);
    assert.match(gone.stderr, new RegExp(`what was built stays: ${real}, `));
  },
);

test("one user's store is his own in all its paths where there are no sandboxes", async () => {
  await using user = new PlainUser();
  const flags = ["install", "--single-user", "--dry-run", "--json"];
  const { stdout, stderr } = await user.run(flags, { through: withoutNamespaces });
  const own = join(user.home, ".local/share/kiln/store");
  assert.ok(stdout.includes(` --store=${own} `), stderr);
  assert.ok(!stdout.includes("--real-store"));
  assert.ok(!existsSync(join(user.home, ".local")), "only told");
});

test("one user gets everything below the home folder", { skip: needsWorld }, async () => {
  await using home = await temporaryDirectory(tmpdir(), "kiln-home-");
  const run = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(kilnProgram, args, {
      encoding: "utf8",
      env: { PATH: process.env["PATH"], HOME: home.path },
    });
  const planned = run("install", "--single-user", "--dry-run", "--json");
  assert.equal(planned.status, 0, planned.stderr);
  const steps = planned.stdout
    .trim()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
  for (const step of steps) {
    assert.ok(typeof step === "object" && step !== null);
    if ("path" in step) assert.ok(String(step.path).startsWith(home.path), JSON.stringify(step));
    assert.ok(!("type" in step) || (step.type !== "user" && step.type !== "group"));
  }
});
