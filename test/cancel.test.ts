// A cancelled build leaves no process behind, whatever its builder does.
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { derivationPath } from "../src/format/derivation/print.ts";
import { StoreClient } from "../src/rpc/client.ts";
import { finishedBuild } from "./support/builds.ts";
import { exportOf, shell } from "./support/derivations.ts";
import { kilnProgram, needsWorld, World } from "./support/world.ts";

/** Processes whose command line contains `word`. */
function processesWith(word: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(word);
      } catch {
        return false; // gone meanwhile
      }
    });
}

async function until(claim: () => boolean, what: string, milliseconds = 20_000): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!claim()) {
    assert.ok(performance.now() < end, `waited in vain for: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Ignores SIGTERM, has a child that does too, and one that left for a session of its own. */
const stubborn = (mark: string, folder: string): string =>
  [
    "trap '' TERM HUP INT",
    `sh -c 'trap "" TERM HUP INT; while :; do sleep 0.1; done' ${mark}-child &`,
    `setsid sh -c 'trap "" TERM HUP INT; (while :; do sleep 0.1; done) & while :; do sleep 0.1; done' ${mark}-session &`,
    `: > ${folder}/${mark}`,
    "while :; do sleep 0.1; done",
  ].join("\n");

describe("cancelling", { skip: needsWorld }, () => {
  test("zb.cancelBuild ends a builder that ignores SIGTERM and has children", async () => {
    await using world = await World.open();
    const daemon = await world.serve(kilnProgram, ["--sandbox=false", "--build-users-group="]);
    const client = await StoreClient.connect(daemon.socket);
    const mark = `mark${process.pid}rpc`;
    const derivation = shell("stubborn", stubborn(mark, world.directory));
    await client.importStream([exportOf([derivation])]);
    const drvPath = derivationPath(derivation);
    const { buildID } = await client.call("zb.realize", { drvPath: [drvPath] });
    await until(() => existsSync(join(world.directory, mark)), "the builder has started");
    await until(() => processesWith(mark).length >= 3, "its children have started");
    await client.call("zb.cancelBuild", { buildID });
    const build = await finishedBuild(client, buildID);
    assert.equal(build.status, "error");
    assert.deepEqual(
      build.results.map((result) => result.status),
      ["error"],
    );
    assert.deepEqual(processesWith(mark), []);
    const left = readdirSync(world.path("/opt/zb/store")).filter((name) => name !== ".kiln");
    assert.deepEqual(left, [drvPath.slice("/opt/zb/store/".length)]);
    // The daemon keeps folders for its connections and logs, but nothing of the build in them.
    const temporary = readdirSync(world.path("/opt/zb/store/.kiln/tmp"), {
      recursive: true,
      withFileTypes: true,
    });
    const files = temporary.filter((entry) => !entry.isDirectory() && !entry.isFIFO());
    assert.deepEqual(files, []);
    assert.deepEqual(
      readdirSync(world.directory).filter((name) => name.startsWith("zb-build-")),
      [],
    );
    const log = await client.call("zb.readLog", { buildID, drvPath });
    assert.equal(log.eof, true);
    await client.close();
  });

  test("SIGTERM ends the daemon with 0 and its builders with it", async () => {
    await using world = await World.open();
    const daemon = await world.serve(kilnProgram, ["--sandbox=false", "--build-users-group="]);
    const client = await StoreClient.connect(daemon.socket);
    const mark = `mark${process.pid}term`;
    const derivation = shell("stubborn", stubborn(mark, world.directory));
    await client.importStream([exportOf([derivation])]);
    await client.call("zb.realize", { drvPath: [derivationPath(derivation)] });
    await until(() => processesWith(mark).length >= 3, "the builder has started");
    const start = performance.now();
    assert.equal(await daemon.stop(), 0);
    assert.ok(performance.now() - start < 8000, "took longer than the grace time");
    assert.deepEqual(processesWith(mark), []);
    await client.close();
  });

  test("Ctrl-C ends an embedded build with 130 and its builders with it", async () => {
    await using world = await World.open();
    const mark = `mark${process.pid}int`;
    const project = join(world.directory, "project");
    mkdirSync(project);
    writeFileSync(
      join(project, "kiln.build.ts"),
      `import { derivation } from "kiln-store";
export default derivation({ name: "stubborn", builder: "/bin/sh", systemDeps: ["/bin", "/usr", "/lib", "/lib64"], args: ["-c", ${JSON.stringify(stubborn(mark, "."))}], env: { PATH: "/bin:/usr/bin" } });
`,
    );
    const child = world.spawn(kilnProgram, ["build", project]);
    let stderr = "";
    child.stderr!.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.stdout!.resume();
    await until(
      () => processesWith(`${mark}-session`).length >= 2,
      "the builder has started",
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}\n${stderr}`);
    });
    child.kill("SIGINT");
    const [code] = (await once(child, "exit")) as [number | null];
    assert.equal(code, 130, stderr);
    assert.deepEqual(processesWith(mark), []);
    assert.match(stderr, /cancell/);
  });
});
