import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { type DaemonCommand, launchdService, systemdService, systemdSocket } from "./units.ts";

const daemon: DaemonCommand = {
  program: "/usr/local/lib/kiln/bin/kiln",
  flags: ["--store=/a b/<&>/$x%n", '--sandbox-path=/bin/sh="\\'],
  socket: "/opt/zb/100%/server.sock",
  places: ["/opt/zb/store"],
  isOfSystem: true,
  socketGroup: undefined,
};

const needsPython =
  spawnSync("python3", ["-c", "import plistlib"]).status !== 0 && "python3 is not here";

describe("files of systemd", () => {
  test("quote what systemd would split or expand", () => {
    const [line = ""] = /^ExecStart=.*$/m.exec(systemdService(daemon)) ?? [];
    assert.equal(
      line,
      String.raw`ExecStart=/usr/local/lib/kiln/bin/kiln serve --systemd "--store=/a b/<&>/$$x%%n" "--sandbox-path=/bin/sh=\"\\" $KILN_SERVE_FLAGS`,
    );
    assert.match(systemdSocket(daemon), /^ListenStream=\/opt\/zb\/100%%\/server\.sock$/m);
  });

  test("confine the machine's daemon, and let a user's be", () => {
    assert.match(systemdService(daemon), /^ProtectSystem=full$/m);
    assert.doesNotMatch(systemdService({ ...daemon, isOfSystem: false }), /Protect|Capab/);
  });
});

test("the property list of launchd says what the daemon is told", { skip: needsPython }, () => {
  const read =
    "import json, plistlib, sys; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))";
  const { stdout, stderr } = spawnSync("python3", ["-c", read], {
    input: launchdService(daemon, "/var/log/<kiln>.log"),
    encoding: "utf8",
  });
  assert.deepEqual(JSON.parse(stdout || stderr), {
    Label: "kiln-serve",
    KeepAlive: true,
    RunAtLoad: true,
    ProgramArguments: [daemon.program, "serve", `--store-socket=${daemon.socket}`, ...daemon.flags],
    StandardErrorPath: "/var/log/<kiln>.log",
  });
});
