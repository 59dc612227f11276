import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryDirectory } from "../../util/temp.ts";
import { endSandboxes } from "./leftovers.ts";

const skip = process.platform !== "linux" && "Linux only";

/** As root of namespaces that it makes for itself. */
const within = ["--user", "--map-root-user", "--mount", "sh", "-c"];

/** A process that says when it is ready, with the environment of a sandbox's. */
async function start(directory: string, words: readonly string[]): Promise<ChildProcess> {
  const [program = "", ...args] = words;
  const env = { PATH: process.env["PATH"], SLOT: `${directory}/slots/0` };
  const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "inherit"] });
  assert.ok(child.stdout !== null);
  await once(child.stdout, "data");
  return child;
}

test(
  "what is left of sandboxes is ended, but not those of a directory of the same name elsewhere",
  { skip },
  async () => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-leftovers-");
    const wait = "echo ready; exec sleep 1000";
    const ours = await start(folder.path, ["sh", "-c", wait]);
    const others = [
      await start(`${folder.path}-other`, ["sh", "-c", wait]),
      await start(folder.path, [
        "unshare",
        ...within,
        `mount -t tmpfs none ${folder.path} && mkdir -p ${folder.path}/slots/0 && ${wait}`,
      ]),
    ];
    try {
      await endSandboxes(folder.path);
      assert.deepEqual(
        others.map(({ exitCode, signalCode }) => exitCode ?? signalCode),
        [null, null],
      );
      if (ours.signalCode === null) await once(ours, "exit");
      assert.equal(ours.signalCode, "SIGKILL");
    } finally {
      others.forEach((child) => child.kill("SIGKILL"));
    }
  },
);

test("what is mounted among leftovers is taken away, and stays as it is", { skip }, async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-leftovers-");
  const [slots, host] = [join(folder.path, "slots"), join(folder.path, "host")];
  mkdirSync(join(slots, "0/tmp"), { recursive: true });
  mkdirSync(host);
  writeFileSync(join(host, "file"), "");
  const module = fileURLToPath(new URL("leftovers.ts", import.meta.url));
  const code = `import { unmountBelow } from ${JSON.stringify(module)}; unmountBelow(process.argv[1], "umount")`;
  const script = `mount --bind ${host} ${slots}/0/tmp && mount -t tmpfs none ${slots}/0/tmp && mount --bind ${host} ${slots}/0 &&
    "$@" && grep -c ${slots} /proc/self/mountinfo || ls -d ${slots}/0/tmp`;
  const node = [process.execPath, "--input-type=module", "--eval", code, slots];
  const said = execFileSync("unshare", [...within, script, "sh", ...node], { encoding: "utf8" });
  assert.equal(said, `0\n${slots}/0/tmp\n`);
  assert.ok(existsSync(join(host, "file")));
});
