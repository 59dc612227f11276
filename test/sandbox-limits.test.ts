// Builds that take more than they may.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { groupPrefix, ownGroups } from "../src/build/sandbox/control-groups.ts";
import { Bench, daemonModes, shellModes } from "./support/sandbox.ts";
import type { BenchBuild, BenchOptions } from "./support/sandbox-bench.ts";

interface Case {
  readonly name: string;
  readonly limits: NonNullable<BenchOptions["limits"]>;
  readonly build: BenchBuild;
  readonly code: string;
  readonly message: string;
}

const MiB = 1024 * 1024;

const cases: readonly Case[] = [
  {
    name: "too long",
    limits: { wallTime: 400 },
    build: { script: "while :; do echo x; sleep 0.05; done" },
    code: "limit.wallTime",
    message: "it took longer than 0.4s",
  },
  {
    name: "too silent",
    limits: { silentTime: 400 },
    build: { script: "for i in 1 2 3 4; do echo $i; sleep 0.2; done; sleep 1000" },
    code: "limit.silentTime",
    message: "it wrote nothing for 0.4s",
  },
  {
    name: "too talkative",
    limits: { logSize: 10_000 },
    build: { script: "while :; do echo 0123456789; done" },
    code: "limit.logSize",
    message: "it wrote more than 10000 bytes of log",
  },
  {
    name: "too large in all",
    limits: { outputSize: 100_000 },
    build: {
      script:
        "mkdir $out; for i in 1 2 3; do head -c 40000 /dev/zero >$out/$i; done; chmod 000 $out",
    },
    code: "limit.outputSize",
    message: "its outputs have 120000 bytes, more than 100000",
  },
  {
    name: "too large in one file",
    limits: { fileSize: 100_000 },
    build: { script: "exec head -c 200000 /dev/zero >$out" },
    code: "limit.outputSize",
    message: "it wrote a file of more than 100000 bytes",
  },
];

for (const mode of [...daemonModes, ...shellModes]) {
  describe(`a build that is, ${mode.name},`, { concurrency: false }, () => {
    for (const { name, limits, build, code, message } of cases) {
      test(`${name} is ended, and the reason given`, async () => {
        await using bench = await Bench.open(mode, { limits });
        const report = await bench.build(build);
        assert.deepEqual(report.error, { code, message });
        assert.deepEqual(report.left, []);
        assert.ok(report.durationMs < 4000);
        assert.ok(report.log.length <= 10_000);
      });
    }

    test("in need of more memory than it may have fails", async () => {
      await using bench = await Bench.open(mode, { limits: { memory: 64 * MiB } });
      const small = await bench.build({
        script: "head -c 20000000 /dev/zero | tail -c 20000000 | wc -c",
      });
      assert.equal(small.log, "20000000\n");
      const large = await bench.build({
        script: "head -c 200000000 /dev/zero | tail -c 200000000 | wc -c; exit 1",
      });
      assert.ok(!large.log.includes("200000000"));
      const hasGroups = bench.limitedBy.includes("memory by control group");
      assert.equal(large.error?.code, hasGroups ? "limit.memory" : undefined);
      assert.deepEqual(large.left, []);
    });

    test("in need of more processes than it may have fails", async () => {
      await using bench = await Bench.open(mode, { limits: { processes: 40 } });
      const small = await bench.build({
        script: "for i in 1 2 3 4 5; do sleep 0.1 & done; wait; echo done",
      });
      assert.equal(small.log, "done\n");
      const large = await bench.build({
        script: "i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done; echo all",
      });
      assert.ok(!large.log.includes("all\n"));
      const hasGroups = bench.limitedBy.includes("processes by control group");
      assert.equal(large.error?.code, hasGroups ? "limit.processes" : undefined);
      assert.deepEqual(large.left, []);
    });

    test("within all limits succeeds, and no group of it is left", async () => {
      const limits = {
        wallTime: 60_000,
        silentTime: 60_000,
        logSize: MiB,
        outputSize: MiB,
        memory: 256 * MiB,
        processes: 100,
      };
      await using bench = await Bench.open(mode, { limits });
      const report = await bench.build({ script: "echo log; echo x >$out" });
      assert.deepEqual(
        [report.outcome, report.log, report.output?.content],
        [{ type: "exited", code: 0 }, "log\n", "x\n"],
      );
      const groups = ownGroups(
        readFileSync("/proc/self/mountinfo", "utf8"),
        readFileSync("/proc/self/cgroup", "utf8"),
      );
      const names = groups.flatMap(({ hierarchy }) => readdirSync(hierarchy.directory));
      assert.deepEqual(
        names.filter((name) => name.startsWith(`${groupPrefix}${bench.process.pid}`)),
        [],
      );
    });
  });
}
