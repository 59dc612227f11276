import assert from "node:assert/strict";
import { test } from "node:test";
import { MountTable } from "./mount-table.ts";

const table = new MountTable(
  Buffer.from(
    [
      "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw",
      "30 27 0:30 / /home rw,nosuid,nodev,relatime shared:5 - tmpfs tmpfs rw",
      "31 30 0:31 / /home/a\\040b rw,noexec master:1 - tmpfs tmpfs rw",
      "32 30 0:32 / /home/a\\040b/deep ro - tmpfs tmpfs rw",
      "33 27 0:33 / /twice rw,nosuid - tmpfs tmpfs rw",
      "34 33 0:34 / /twice rw,nodev - tmpfs tmpfs rw",
      "",
    ].join("\n"),
  ),
);

for (const [path, flags] of [
  ["/", []],
  ["/homes", []],
  ["/home", ["nosuid", "nodev"]],
  ["/home/x/y", ["nosuid", "nodev"]],
  ["/home/a b/c", ["noexec"]],
  ["/home/a b/deep/er", []],
  ["/twice/x", ["nodev"]],
] as const) {
  test(`${path} is mounted with ${flags.join(", ") || "none of the options"}`, () => {
    assert.deepEqual(table.flagsAt(path), flags);
  });
}

test("mounts below a directory come outer ones first, each once", () => {
  assert.deepEqual(table.below("/home"), ["/home/a b", "/home/a b/deep"]);
  assert.deepEqual(table.below("/home/a b/deep"), []);
  assert.deepEqual(table.below("/"), ["/home", "/twice", "/home/a b", "/home/a b/deep"]);
});

test("whole file systems of a type are told from parts of them", () => {
  const parts = new MountTable(
    Buffer.from(
      "1 0 0:1 / /sys rw shared:1 - sysfs sysfs rw\n2 0 0:1 /class /x rw - sysfs sysfs rw\n3 0 0:3 / /y rw - tmpfs sysfs rw\n",
    ),
  );
  assert.deepEqual(parts.ofType("sysfs"), ["/sys"]);
});

test(
  "this process's own mounts can be read",
  { skip: process.platform !== "linux" && "Linux only" },
  () => {
    assert.ok(MountTable.read().below("/").includes("/proc"));
  },
);
