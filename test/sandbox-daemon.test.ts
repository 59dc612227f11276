// Isolation through the real daemon: what a builder finds is the same whoever runs the daemon, and whatever happens to a build or to
// the daemon, nothing of the build is left.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { execFile } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { objectNameOf } from "../src/format/store-path.ts";
import { shell } from "./support/derivations.ts";
import { Session } from "./support/session.ts";
import { processesWith, waitUntil } from "./support/sandbox.ts";
import {
  type DaemonKind,
  daemonKinds,
  type DaemonPlace,
  type ServedDaemon,
} from "./support/sandbox-daemon.ts";

/** Everything a builder can find out about where it is, in words that do not depend on the machine. */
const lookAround = `
  echo "id: $(id -u) $(id -g) $(id -G)"; echo "in: $PWD $HOME $(cat /proc/sys/kernel/hostname)"
  echo "root: $(ls /)"; echo "etc: $(ls /etc)"; echo "dev: $(ls /dev)"; echo "build: $(ls -A /build)"; echo "tmp: $(ls -A /tmp)"
  n=0; for p in /proc/[0-9]*; do n=$((n+1)); done; [ $n -lt 8 ] && echo "processes: few"
  ls -d /proc/1 /sys /home /root /work /var /run 2>/dev/null
  grep -E '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs):' /proc/self/status
  echo "interfaces: $(tail -n +3 /proc/net/dev | cut -d: -f1)"; wc -l </proc/net/unix
  for f in /usr /etc /shared /; do (echo x >$f/x) 2>/dev/null && echo "wrote $f"; done
  (dmesg | grep -q . ) 2>/dev/null && echo "kernel log"
  ls $ZB_STORE | grep -v -- -look; echo x >$out; stat -c "out: %u %g" $out`;

/** Ignores SIGTERM, leaves its session twice, and writes on and on, until there is /shared/go. */
const stubborn = (mark: string): string => `[ -e /shared/go ] && exec sh -c 'echo ${mark} >$out'
  trap "" TERM HUP INT
  (setsid sh -c 'trap "" TERM HUP INT; (setsid sh -c "while :; do echo x >>/tmp/x; sleep 0.01; done" &) ; sleep 1000' &)
  mkdir -p deep/er $out && echo x >deep/er/file && chmod 000 deep; echo ready; sleep 1000`;

const seen = new Map<DaemonKind, string>();

for (const kind of daemonKinds) {
  describe(`a daemon that isolates, ${kind.name},`, { concurrency: false }, () => {
    let place: DaemonPlace;
    let daemon: ServedDaemon;
    const go = (): string => join(place.folder, "shared/go");

    before(async () => {
      place = await kind.open();
      daemon = await place.serve();
    });
    after(async () => await place?.[Symbol.asyncDispose]());

    test("says how", async () => {
      const how = "builders are isolated: user mount pid ipc uts net cgroup";
      await waitUntil(() => daemon.log().includes(how));
    });

    test("shows a builder what it may see", async () => {
      await using session = await Session.with(daemon);
      const { status, log, result } = await session.build(shell("look", lookAround));
      assert.equal(status, "success", log);
      assert.equal(result.executor, "sandbox");
      seen.set(kind, log);
      assert.match(log, /^id: 1000 100 100\nin: \/build \/home-not-set localhost\n/);
      assert.match(log, /^processes: few$/m);
      assert.doesNotMatch(log, /^(?:wrote|kernel log)|\/home$|\/sys$/m);
    });

    for (const [what, script, expected] of [
      ["success", "echo x >$out; echo y >/tmp/y; mkdir -p a/b; echo z >a/b/z", "success"],
      ["failure", "mkdir $out; echo x >$out/x; chmod 000 $out; echo y >/tmp/y; exit 3", "fail"],
      ["death", "echo x >$out; kill -9 $$", "fail"],
      [
        "success with somebody left behind",
        `(setsid sh -c 'trap "" TERM HUP; (setsid sleep 1000 &); sleep 1000' >/dev/null 2>&1 &); echo x >$out`,
        "success",
      ],
      ["a fifo in its output", "mkdir $out; mkfifo $out/f", "fail"],
    ] as const) {
      test(`leaves nothing of a build that ends with ${what}`, async () => {
        const mark = randomUUID();
        await using session = await Session.with(daemon);
        const built = await session.build(shell("ends", script, { env: { MARK: mark } }));
        assert.equal(built.status, expected, built.log);
        assert.deepEqual(processesWith(mark), []);
        assert.deepEqual(await place.cleared(mark), []);
      });
    }

    test("leaves nothing of a cancelled build that will not end, which can be built then", async () => {
      const mark = randomUUID();
      const derivation = shell("stubborn", stubborn(mark), { env: { MARK: mark } });
      await using session = await Session.with(daemon);
      const buildID = await session.start(derivation);
      await waitUntil(() => processesWith(mark).length >= 3, 30_000);
      session.client.notify("zb.cancelBuild", { buildID });
      const { log, result } = await session.result(buildID);
      assert.equal(result.state, "cancelled", log);
      assert.deepEqual(processesWith(mark), []);
      assert.deepEqual(await place.cleared(mark), []);
      writeFileSync(go(), "");
      const again = await session.build(derivation);
      assert.equal(again.status, "success", again.log);
      rmSync(go());
    });

    for (const delay of [0, 60, 400]) {
      test(`leaves nothing when it is killed ${delay} ms after a builder's start, and builds it then`, async () => {
        const mark = randomUUID();
        const derivation = shell("killed", stubborn(mark), { env: { MARK: mark } });
        {
          await using session = await Session.with(daemon);
          await session.start(derivation);
          await waitUntil(() => place.settingUp().length > 0);
          await new Promise((resolve) => setTimeout(resolve, delay));
          await place.end("SIGKILL");
        }
        const begun = performance.now();
        await waitUntil(() => processesWith(mark).length === 0, 2000);
        daemon = await place.serve();
        assert.deepEqual(await place.cleared(mark), []);
        assert.ok(performance.now() - begun < 10_000);
        writeFileSync(go(), "");
        await using session = await Session.with(daemon);
        const again = await session.build(derivation);
        assert.equal(again.status, "success", again.log);
        assert.equal(again.log, "");
        rmSync(go());
      });
    }

    test("makes outputs plain and its own", async () => {
      await using session = await Session.with(daemon);
      const script = `mkdir $out; echo x >$out/x; cp /usr/bin/env $out/env; chmod 6755 $out/env; ln -s /etc/shadow $out/link
        chmod 0666 $out/x; mkdir $out/closed; chmod 000 $out/closed`;
      const { status, result, log } = await session.build(shell("plain", script));
      assert.equal(status, "success", log);
      const path = result.outputs[0]?.path;
      assert.ok(path);
      const { stdout } = await listing(join(place.store, objectNameOf(path)));
      assert.equal(stdout, "555 .\n555 closed\n555 env\n777 link\n444 x\n");
    });

    test("ends in order without leaving anything", async () => {
      await place.end();
      assert.equal(daemon.process.exitCode, 0, daemon.log());
      assert.deepEqual(await place.cleared("no mark"), []);
    });
  });
}

async function listing(path: string): Promise<{ stdout: string }> {
  const find = ["-c", `cd "$1" && stat -c "%a %n" . * | sort -k2`, "sh", path];
  return await promisify(execFile)("sh", find, { env: { LC_ALL: "C", PATH: process.env["PATH"] } });
}

test("all of them show builders the same", () => {
  assert.equal(seen.size, daemonKinds.length);
  assert.equal(new Set(seen.values()).size, 1, [...seen.values()].join("\n---\n"));
});
