import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryDirectory } from "../../util/temp.ts";
import { hasCode } from "../../util/kiln-error.ts";
import { BuildGroup, ownGroups, sweepGroups } from "./control-groups.ts";

test("of version 1 there is a hierarchy for each set of controllers", () => {
  const mountinfo = [
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw",
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
    "39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids",
    "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd",
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
  ].join("\n");
  const membership = "9:name=systemd:/\n8:pids:/\n4:memory:/a/b\n0::/u\n";
  assert.deepEqual(ownGroups(mountinfo, membership), [
    { controllers: ["memory"], hierarchy: { version: 1, directory: "/sys/fs/cgroup/memory/a/b" } },
    { controllers: ["pids"], hierarchy: { version: 1, directory: "/sys/fs/cgroup/pids" } },
    {
      controllers: ["name=systemd"],
      hierarchy: { version: 1, directory: "/sys/fs/cgroup/systemd" },
    },
    { controllers: [""], hierarchy: { version: 2, directory: "/sys/fs/cgroup/unified/u" } },
  ]);
});

test("in a container our own group is below what is mounted", () => {
  const mountinfo = "41 31 0:38 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate";
  assert.deepEqual(ownGroups(mountinfo, "0::/docker/x/y"), [
    { controllers: [""], hierarchy: { version: 2, directory: "/sys/fs/cgroup/y" } },
  ]);
});

test("a group of version 2 is limited in all that counts, and tells what it ran into", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-groups-");
  const group = join(folder.path, "one");
  mkdirSync(group);
  const files = ["memory.max", "memory.swap.max", "memory.oom.group", "pids.max"];
  for (const file of files) writeFileSync(join(group, file), "");
  writeFileSync(join(group, "memory.events"), "low 0\noom 0\noom_kill 0\n");
  writeFileSync(join(group, "pids.events"), "max 0\n");
  const hierarchy = { version: 2, directory: folder.path } as const;
  const made = BuildGroup.make(
    "one",
    { memory: 1000, processes: 5 },
    { memory: hierarchy, pids: hierarchy },
  );
  assert.deepEqual(made.doors, [join(group, "cgroup.procs")]);
  assert.deepEqual(
    files.map((file) => readFileSync(join(group, file), "utf8")),
    ["1000", "0", "1", "5"],
  );
  assert.equal(made.hit(), undefined);
  writeFileSync(join(group, "pids.events"), "max 3\n");
  assert.equal(made.hit(), "pids");
  writeFileSync(join(group, "memory.events"), "low 0\noom 1\noom_kill 2\n");
  assert.equal(made.hit(), "memory");
});

test("without a limit there is no group", () => {
  const hierarchy = { version: 1, directory: "/nowhere" } as const;
  assert.deepEqual(BuildGroup.make("x", {}, { memory: hierarchy, pids: hierarchy }).doors, []);
});

test("a build is not run when a limit of it cannot be set", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-groups-");
  const hierarchy = { version: 2, directory: folder.path } as const;
  const limits = { memory: 1000, processes: 5 };
  const make = (): BuildGroup =>
    BuildGroup.make("one", limits, { memory: hierarchy, pids: hierarchy });
  // The kernel makes these files with the folder; here there are none.
  assert.throws(
    make,
    (error) => hasCode(error, "limit.unset") && /memory\.max/.test(error.message),
  );
  assert.deepEqual(readdirSync(folder.path), []);
  mkdirSync(join(folder.path, "one"));
  writeFileSync(join(folder.path, "one", "memory.max"), "");
  // That swap is not counted, and groups are not ended whole, is no reason.
  assert.throws(make, (error) => hasCode(error, "limit.unset") && /pids\.max/.test(error.message));
  // What is there, and does not take the limit, is.
  mkdirSync(join(folder.path, "one", "memory.swap.max"));
  assert.throws(make, (error) => hasCode(error, "limit.unset") && /swap\.max/.test(error.message));
});

test("what builds of the dead left is removed, and not what another daemon has just made", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-groups-");
  const dead = String(spawnSync("true").pid);
  const names = [dead, process.pid, process.ppid].map((pid) => `kiln-build-${pid}-0`);
  for (const name of [...names, `kiln-build-trial-${dead}`, "other"]) {
    mkdirSync(join(folder.path, name));
  }
  sweepGroups({ pids: { version: 2, directory: folder.path } });
  const left = [`kiln-build-${process.ppid}-0`, "other"];
  assert.deepEqual(readdirSync(folder.path).toSorted(), left);
});
