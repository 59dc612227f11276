// How builders in sandboxes are started: as the kernel starts them, whatever shell does it for Kiln.
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Bench, daemonModes } from "./support/sandbox.ts";

/** By name: what is in the program, and why the kernel does not start it. */
const programs: Readonly<Record<string, readonly [content: string, reason: string]>> = {
  "no-format": ["echo ran\n", "exec format error"],
  empty: ["", "exec format error"],
  "no-interpreter": ["#!/nowhere/sh\necho ran\n", "no such file or directory"],
  "dos-line-ends": ["#!/bin/sh\r\necho ran\r\n", "no such file or directory"],
};

/** Variables that some shell cannot set, has a meaning of its own for, or adds. */
const variables: Readonly<Record<string, string>> = {
  "odd-name": "1",
  "with.dot": "\udcff",
  "1st": "",
  IFS: "x",
  LC_ALL: "xx_YY.UTF-8",
};

for (const mode of daemonModes) {
  for (const [starter, without] of [
    ["perl", []],
    ["dash", ["guard"]],
    ["bash", ["guard", "dash"]],
  ] as const) {
    describe(`a builder that ${starter} starts, ${mode.name},`, { concurrency: false }, () => {
      let bench: Bench;

      before(async () => {
        const folder = Bench.newFolder(mode);
        const shared = join(folder, "shared");
        mkdirSync(shared);
        chmodSync(shared, 0o755);
        const foreign = `\x7fELF${"\x01".repeat(100)}\n`;
        const files = {
          ...programs,
          "foreign-elf": [foreign, ""] as const,
          script: ['#! /bin/sh -e\necho "$0" "$@"\n', ""] as const,
        };
        for (const [name, [content]] of Object.entries(files)) {
          writeFileSync(join(shared, name), content, "latin1");
          chmodSync(join(shared, name), 0o755);
        }
        writeFileSync(join(shared, "no-program"), "#!/bin/sh\n", { mode: 0o644 });
        bench = await Bench.open(mode, { paths: { "/shared": shared }, without }, folder);
      });
      after(async () => await bench?.[Symbol.asyncDispose]());

      for (const [name, [, reason]] of [
        ...Object.entries(programs),
        ["no-program", ["", "permission denied"]] as const,
        ["absent", ["", "no such file or directory"]] as const,
      ]) {
        test(`${name} is not started: ${reason}`, async () => {
          const builder = `/shared/${name}`;
          const { outcome, log } = await bench.build({ builder, args: [] });
          const message = `fork/exec ${builder}: ${reason}`;
          assert.deepEqual(outcome, { type: "notStarted", message });
          assert.equal(log, "");
        });
      }

      test("is not started when the kernel alone can tell that it is no program", async () => {
        const { outcome } = await bench.build({ builder: "/shared/foreign-elf", args: [] });
        const message = "fork/exec /shared/foreign-elf: exec format error";
        // bash ends itself in its own way then.
        const inBash = { type: "exited", code: 126 };
        assert.deepEqual(outcome, starter === "bash" ? inBash : { type: "notStarted", message });
      });

      test("is a script, with its arguments as they are", async () => {
        const { log } = await bench.build({ builder: "/shared/script", args: ["a b", "", "'"] });
        assert.equal(log, "/shared/script a b  '\n");
      });

      test("has exactly its variables, to the byte", async () => {
        const report = await bench.build({
          builder: "/usr/bin/env",
          args: ["-0"],
          env: variables,
        });
        const [, ...more] = report.log.split("\0").toSorted();
        const ours = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
        const base =
          "HOME PATH PWD TEMP TEMPDIR TERM TMP TMPDIR ZB_BUILD_CORES ZB_BUILD_TOP ZB_STORE out";
        const isBase = (text: string): boolean =>
          base.split(" ").includes(text.split("=")[0] ?? "");
        assert.equal(more.filter(isBase).length, base.split(" ").length, report.log);
        assert.deepEqual(
          more.filter((text) => !isBase(text)),
          ours.map((text) => text.replace("\udcff", "\xff")).toSorted(),
        );
      });

      test("ignores and blocks no signal, and leaves no core file", async () => {
        const script = `grep -E '^Sig(Ign|Blk)' /proc/self/status | cut -f 2; umask; ulimit -Hc`;
        const none = "0000000000000000\n";
        assert.equal((await bench.build({ script })).log, `${none}${none}0022\n0\n`);
      });

      test("is told how to get what this machine has and the sandbox lacks", async () => {
        const { outcome } = await bench.build({ builder: process.execPath });
        assert.ok(outcome?.type === "notStarted");
        assert.match(outcome.remedy ?? "", /add systemDeps: \["\/.*serve --sandbox-path=\//);
        const missing = await bench.build({ script: "no-such-command" });
        assert.ok(missing.outcome?.type === "exited" && missing.outcome.code === 127);
        assert.match(missing.outcome.remedy ?? "", /systemDeps: \["\/bin"/);
      });

      test("is refused an argument that no program can have", async () => {
        const { outcome, log } = await bench.build({ script: "x".repeat(131_072) });
        const message = "fork/exec /bin/sh: argument list too long";
        assert.deepEqual([outcome, log], [{ type: "notStarted", message }, ""]);
      });
    });
  }
}
