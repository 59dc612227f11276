// What is found out about a machine, and sandboxes on machines that have less than this one.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  describeSupport,
  probeSandbox,
  type SandboxSupport,
} from "../src/build/sandbox/support.ts";
import { temporaryDirectory } from "../src/util/temp.ts";
import { Bench, daemonModes } from "./support/sandbox.ts";

const probe = fileURLToPath(new URL("../src/build/sandbox/support.ts", import.meta.url));
const isRoot = process.getuid?.() === 0;

/** Probes in a process of its own, started through `words`. */
function probeThrough(words: readonly string[], directory: string): SandboxSupport {
  const code = `import { probeSandbox } from ${JSON.stringify(probe)};
    console.log(JSON.stringify(await probeSandbox({ directory: process.argv[1] })));`;
  const node = [process.execPath, "--input-type=module", "--eval", code, directory];
  const [program = "", ...args] = [...words, ...node];
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  assert.notEqual(stdout, "", stderr);
  return JSON.parse(stdout) as SandboxSupport;
}

/** Becomes a plain user with the groups of a login (the user's own is one of them), if that is not what we are. */
const asPlainUser = isRoot
  ? ["setpriv", "--reuid=65534", "--regid=65534", "--groups=65534,4", "--"]
  : [];

async function openFolder(): Promise<{ path: string } & AsyncDisposable> {
  const folder = await temporaryDirectory(tmpdir(), "kiln-probe-");
  chmodSync(folder.path, 0o777);
  return folder;
}

test("a sandbox works here, and how it isolates is said", async () => {
  await using folder = await openFolder();
  const support = await probeSandbox({ directory: folder.path });
  assert.equal(support.available && support.mode, isRoot ? "root" : "user");
  assert.match(
    describeSupport(support),
    /^user mount pid ipc uts net cgroup namespaces \((?:root|user)\), no new privileges, seccomp$/,
  );
});

test("a plain user's works, too, and also root's in a container with its own users", async () => {
  await using folder = await openFolder();
  for (const words of [asPlainUser, [...asPlainUser, "unshare", "--user", "--map-root-user"]]) {
    const support = probeThrough(words, folder.path);
    assert.equal(support.available && support.mode, "user");
  }
});

test("a machine without user namespaces is told from one with", async () => {
  await using folder = await openFolder();
  const forbid = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"';
  const words = [...asPlainUser, "unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh"];
  const support = probeThrough(words, folder.path);
  assert.deepEqual(support, {
    available: false,
    reason: "this kernel forbids user namespaces",
    hint: "sysctl user.max_user_namespaces=10000; or run as root",
  });
});

test("a container that masks /proc is named as the reason", async () => {
  await using folder = await openFolder();
  const mask =
    'mount -t tmpfs none /proc/scsi 2>/dev/null || mount -t tmpfs none /proc/sys && exec "$@"';
  const words = [
    ...asPlainUser,
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    mask,
    "sh",
  ];
  const support = probeThrough(words, folder.path);
  assert.equal(!support.available && support.hint, "run the container with systempaths=unconfined");
});

test("missing programs are named with the packages that have them", async () => {
  await using folder = await openFolder();
  const bin = join(folder.path, "bin");
  mkdirSync(bin);
  for (const name of ["unshare", "mount", "umount", "dash"])
    symlinkSync(`/usr/bin/${name}`, join(bin, name));
  const support = await probeSandbox({ directory: folder.path, searchPath: bin });
  assert.equal(
    !support.available && support.reason,
    "programs are missing: setpriv (util-linux), nsenter (util-linux), mkfifo (coreutils)",
  );
});

for (const mode of daemonModes) {
  describe(`on a machine with less, ${mode.name},`, { concurrency: false }, () => {
    test("bash does what dash did", async () => {
      await using bench = await Bench.open(mode, { without: ["guard", "dash"] });
      const report = await bench.build({
        script: "id -u; ls /proc/self/fd; echo x >$out; kill -9 $$",
      });
      assert.deepEqual(report.outcome, { type: "signaled", signal: "SIGKILL" });
      assert.equal(report.log, "1000\n0\n1\n2\n3\n");
      assert.deepEqual((await bench.build({ builder: "/nope" })).outcome, {
        type: "notStarted",
        message: "fork/exec /nope: no such file or directory",
      });
      assert.deepEqual((await bench.build({ script: "exit 137" })).outcome, {
        type: "exited",
        code: 137,
      });
    });

    test("a variable that no shell can set is refused without bash", async () => {
      await using bench = await Bench.open(mode, { without: ["guard", "bash"] });
      const report = await bench.build({ script: ":", env: { "odd-name": "x" } });
      assert.equal(report.error?.code, "sandbox.variable");
    });

    test("there is no loopback without ip, and no error either", async () => {
      await using bench = await Bench.open(mode, { without: ["guard", "ip", "hostname"] });
      const report = await bench.build({ script: "echo x >$out" });
      assert.equal(report.output?.content, "x\n");
    });
  });
}

for (const mode of daemonModes.filter(({ runAs }) => isRoot && runAs === undefined)) {
  test(`without user namespaces a builder is who it is, ${mode.name}`, async () => {
    await using bench = await Bench.open(mode, { withoutInner: true });
    const input = await bench.object("input", ["f"]);
    const report = await bench.build({
      inputs: [input],
      script: `grep -E '^(Cap|NoNewPrivs)' /proc/self/status | cut -f 2; id -un; ls -d /proc/1; ls $ZB_STORE; echo x 2>/dev/null >>${input}/f; echo x >$out`,
    });
    const none = "0000000000000000\n";
    const some = "00000000000400c0\n";
    assert.equal(
      report.log.replace(/^ls: .*\n/gm, "").replace(/^\/bin\/sh: .*\n/gm, ""),
      `${none}${none}${none}${some}${none}1\nzbld\n${input.split("/").at(-1)}\n`,
    );
    assert.ok(report.output !== undefined && mode.owner(report.output.uid));
    assert.equal(report.wasWatched, true);
    assert.deepEqual(report.left, []);
  });
}
