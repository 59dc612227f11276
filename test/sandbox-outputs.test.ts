// Outputs and leftovers that are made to hurt: still written, without end, deeper than any path, of a hundred thousand names.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { lstatSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { hashTree } from "../src/files/dump.ts";
import { objectNameOf, parseStorePath, type StorePath } from "../src/format/store-path.ts";
import { shell } from "./support/derivations.ts";
import { type DaemonPlace, daemonKinds, type ServedDaemon } from "./support/sandbox-daemon.ts";
import { processesWith, waitUntil } from "./support/sandbox.ts";
import { type Built, Session } from "./support/session.ts";

/** Directories in directories, as deep as perl is told, below the directory it is told. */
const dig = (where: string, name: string, depth: number): string =>
  `perl -e 'mkdir $ARGV[0]; chdir $ARGV[0] or die; for (1 .. ${depth}) { mkdir "${name}" or die $!; chdir "${name}" or die $! } open F, ">", "f"' ${where}\n`;

const many = (where: string, count: number): string =>
  `perl -e 'mkdir $ARGV[0]; chdir $ARGV[0] or die; open F, ">", "f"; for (1 .. ${count}) { mkdir $_ >> 12, 0755; link "f", ($_ >> 12) . "/$_" or do { open F, ">", ($_ >> 12) . "/$_" or die $! } }' ${where}\n`;

for (const kind of daemonKinds) {
  describe(`a daemon that isolates, ${kind.name},`, { concurrency: false }, () => {
    let place: DaemonPlace;
    let daemon: ServedDaemon;

    before(async () => {
      place = await kind.open();
      daemon = await place.serve();
    });
    after(async () => await place?.[Symbol.asyncDispose]());

    /** Where the output of a build that has succeeded lies. */
    const outputOf = ({ status, log, result }: Built): { path: StorePath; real: string } => {
      assert.equal(status, "success", log);
      const path = parseStorePath(result.outputs[0]?.path ?? "");
      return { path, real: join(place.store, objectNameOf(path)) };
    };

    test("gets nothing into an object that is written after the builder's end", async () => {
      const mark = randomUUID();
      const script = `mkdir -p $out/d; echo x >$out/x
        for n in 1 2 3 4; do
          (setsid sh -c 'trap "" TERM HUP; while :; do echo more >>$out/x; ln -sfn /etc/passwd $out/link; rm -rf $out/d/*; mkdir $out/d/'$n'; mv $out/x $out/y; mv $out/y $out/x; done' >/dev/null 2>&1 &)
        done; exec 9>>$out/x; sleep 0.2`;
      await using session = await Session.with(daemon);
      const { path, real } = outputOf(
        await session.build(shell("flipping", script, { env: { MARK: mark } })),
      );
      assert.deepEqual(processesWith(mark), []);
      const { info } = await session.client.call("zb.info", { path });
      for (let look = 0; look < 2; look++) {
        const { narHash, narSize } = await hashTree(real);
        assert.deepEqual([narHash.sri(), narSize], [info?.narHash, info?.narSize]);
      }
      assert.deepEqual(await place.cleared(mark), []);
    });

    test("stops reading an output without end when the build is cancelled", async () => {
      const mark = randomUUID();
      const giant = shell("giant", "truncate -s 4T $out; echo made", { env: { MARK: mark } });
      await using session = await Session.with(daemon);
      const buildID = await session.start(giant);
      const scratch = join(place.store, ".kiln/tmp");
      await waitUntil(() => execFileSync("find", [scratch, "-size", "+1000G"]).length > 0, 30_000);
      const begun = performance.now();
      session.client.notify("zb.cancelBuild", { buildID });
      const { result } = await session.result(buildID);
      assert.equal(result.state, "cancelled");
      assert.ok(performance.now() - begun < 5000);
      assert.deepEqual(await place.cleared(mark), []);
    });

    test("stops reading an output without end when it has taken as long as a builder may", async () => {
      await using limited = await kind.open();
      const own = await limited.serve(["--max-build-time=2s"]);
      await using session = await Session.with(own);
      const { status, log } = await session.build(shell("giant", "truncate -s 4T $out; echo made"));
      assert.equal(status, "fail", log);
      assert.match(log, /^made\n\*\*\* Build failed: reading its outputs took longer than 2s\n$/);
      assert.deepEqual(await limited.cleared("no mark"), []);
    });

    test("refuses an output in which a path is longer than any can be", async () => {
      await using session = await Session.with(daemon);
      const script = `mkdir $out\n${dig("$out/deep", "d".repeat(200), 21)}`;
      const { status, log } = await session.build(shell("deep", script));
      assert.equal(status, "fail", log);
      assert.match(log, /\*\*\* Build failed: a path of more than \d+ bytes in /);
      assert.deepEqual(await place.cleared("no mark"), []);
      const fits = `mkdir $out\n${dig("$out/deep", "d".repeat(200), 20)}`;
      const { path } = outputOf(await session.build(shell("fits", fits)));
      const { info } = await session.client.call("zb.info", { path });
      assert.ok((info?.narSize ?? 0) > 4000);
    });

    test("answers while a hundred thousand names are made an object and cleared away", async () => {
      await using session = await Session.with(daemon);
      const script = many("$out", 20_000) + many("/tmp/x", 40_000) + many("/build/x", 40_000);
      const buildID = await session.start(shell("many", script));
      let slowest = 0;
      await using other = await Session.with(daemon);
      let status = "active";
      while (status === "active" || place.leftovers("no mark").length > 0) {
        const asked = performance.now();
        ({ status } = await other.client.call("zb.getBuild", { buildID }));
        slowest = Math.max(slowest, performance.now() - asked);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      outputOf(await session.result(buildID));
      assert.ok(slowest < 1000, `${slowest} ms`);
    });

    test("takes file capabilities, access lists and set-id bits away", async () => {
      const script = `mkdir $out; cp /usr/bin/env $out/env; chmod 6777 $out $out/env
        unshare --user --map-root-user setcap cap_net_raw+ep $out/env && echo given`;
      const searched = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
      await using session = await Session.with(daemon);
      const built = await session.build(shell("capable", script, { env: searched }));
      const { real } = outputOf(built);
      assert.equal(built.log, "given\n");
      const shown = execFileSync("getcap", ["-r", real], { encoding: "utf8", env: searched });
      assert.equal(shown, "");
      for (const path of [real, join(real, "env")]) {
        assert.equal(lstatSync(path).mode & 0o7777, 0o555);
      }
    });

    test("keeps its own view of a limit on outputs, whatever a file claims to be", async () => {
      await place.end();
      daemon = await place.serve(["--max-output-size=1G"]);
      await using session = await Session.with(daemon);
      const begun = performance.now();
      const { log, result } = await session.build(shell("claims", "truncate -s 4T $out"));
      assert.equal(result.state, "failed");
      assert.match(log, /its outputs have 4398046511104 bytes, more than 1073741824/);
      assert.ok(performance.now() - begun < 10_000);
      assert.deepEqual(await place.cleared("no mark"), []);
    });
  });
}
