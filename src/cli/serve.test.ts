import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import { firstBuild } from "./commands/init.ts";
import { passedSocket } from "./commands/serve.ts";
import { sandboxPaths } from "./sandbox-paths.ts";
import { jsonLogLine, logLine } from "./serve-log.ts";

describe("paths for builders", () => {
  test("stand for themselves or for another one, several in a flag", () => {
    const paths = sandboxPaths(["/bin/sh=/opt/sh  /usr", "/lib/"], []);
    assert.deepEqual(
      [...paths],
      [
        ["/bin/sh", { path: "/opt/sh" }],
        ["/usr", {}],
        ["/lib", {}],
      ],
    );
  });
  test("are for everybody when they are implicit", () => {
    const paths = sandboxPaths(["/bin/sh=/opt/sh"], ["/bin/sh", "/etc/x"]);
    assert.deepEqual(
      [...paths],
      [
        ["/bin/sh", { path: "/opt/sh", alwaysPresent: true }],
        ["/etc/x", { alwaysPresent: true }],
      ],
    );
  });
  test("are absolute", () => {
    assert.throws(
      () => sandboxPaths(["bin"], []),
      (e) => hasCode(e, "usage.value"),
    );
    assert.throws(
      () => sandboxPaths(["/bin=sh"], []),
      (e) => hasCode(e, "usage.value"),
    );
    assert.throws(
      () => sandboxPaths([], ["x"]),
      (e) => hasCode(e, "usage.value"),
    );
  });
});

describe("the paths that a daemon is to offer", () => {
  for (const page of ["start", "authoring"]) {
    test(`for the build files in docs/${page}.md, and for the first one of kiln init, are those they ask for`, () => {
      const text = readFileSync(new URL(`../../docs/${page}.md`, import.meta.url), "utf8");
      const flags = text.matchAll(/kiln serve --sandbox-path="([^"]*)"/g);
      const offered = sandboxPaths(
        Array.from(flags, ([, paths = ""]) => paths),
        [],
      );
      const asked = [text, firstBuild].flatMap((file) =>
        Array.from(file.matchAll(/systemDeps: \[([^\]]*)\]/g), ([, list = ""]) =>
          Array.from(list.matchAll(/"([^"]*)"/g), ([, path = ""]) => path),
        ).flat(),
      );
      assert.ok(asked.includes("/bin/sh"));
      assert.deepEqual(
        asked.filter((path) => !offered.has(path)),
        [],
      );
    });
  }
});

describe("systemd's socket", () => {
  test("is descriptor 3, if exactly one was passed to this process", () => {
    assert.deepEqual(passedSocket({ LISTEN_PID: "7", LISTEN_FDS: "1" }, 7), { fd: 3 });
  });
  for (const env of [
    {},
    { LISTEN_PID: "7", LISTEN_FDS: "2" },
    { LISTEN_PID: "8", LISTEN_FDS: "1" },
  ])
    test(`is refused with ${JSON.stringify(env)}`, () => {
      assert.throws(
        () => passedSocket(env, 7),
        (e) => hasCode(e, "socket.systemd"),
      );
    });
});

test("a log line is one line, in zb's form", () => {
  const time = new Date(2026, 10, 2, 3, 4, 5);
  assert.equal(
    logLine(time, "warn", "bad\nkiln: forged \u001b[2J"),
    "kiln: 2026/11/02 03:04:05 WARN: bad kiln: forged ?[2J\n",
  );
});

describe("a line of the daemon's log for programs", () => {
  test("is one JSON object, whatever the text, with what it is about", () => {
    const text = 'a\nkiln: "b"\u001b[31m';
    const line = jsonLogLine(new Date(0), "warn", text, { buildID: "7", message: "not this" });
    assert.equal(line.indexOf("\n"), line.length - 1);
    assert.deepEqual(JSON.parse(line), {
      time: "1970-01-01T00:00:00.000Z",
      level: "warn",
      message: text,
      buildID: "7",
    });
  });
});
