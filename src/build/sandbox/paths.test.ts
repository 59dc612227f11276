import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { defaultStoreDirectory, parseStoreDirectory } from "../../format/store-path.ts";
import { hasCode } from "../../util/kiln-error.ts";
import { temporaryDirectory } from "../../util/temp.ts";
import {
  checkSandboxPaths,
  namedPaths,
  objectBehind,
  outermost,
  resolvePath,
  type SandboxPathOptions,
} from "./paths.ts";

const object = `/opt/zb/store/${"0".repeat(32)}-busybox`;

function check(
  paths: Readonly<Record<string, SandboxPathOptions>>,
): ReturnType<typeof checkSandboxPaths> {
  return checkSandboxPaths(new Map(Object.entries(paths)), defaultStoreDirectory);
}

test("sandbox paths are cleaned, completed and put in order", () => {
  assert.deepEqual(
    check({ "/usr/": {}, "/bin//sh": { path: "/x/../bin/dash", alwaysPresent: true } }),
    [
      { inside: "/bin/sh", source: "/bin/dash", alwaysPresent: true },
      { inside: "/usr", source: "/usr", alwaysPresent: false },
    ],
  );
});

for (const [inside, options, reason] of [
  ["bin/sh", {}, /is not absolute/],
  ["/bin/sh", { path: "sh" }, /is not absolute/],
  ["/bin/s\0h", {}, /zero byte/],
  ["/", {}, /hide/],
  ["/etc", {}, /would hide the builder's own \/etc\/group/],
  ["/dev", {}, /hide/],
  ["/opt", {}, /would hide the builder's own \/opt\/zb\/store/],
  ["/opt/zb/store", {}, /hide/],
  ["/etc/passwd", {}, /hide/],
  ["/dev/null", {}, /hide/],
  ["/proc", {}, /is in \/proc/],
  ["/proc/cpuinfo", {}, /is in \/proc/],
  ["/build/x", {}, /is in \/build/],
  ["/tmp/x", {}, /is in \/tmp/],
  ["/dev/shm/x", {}, /is in \/dev\/shm/],
  [`${object}/bin`, {}, /part of a store object/],
  ["/opt/zb/store/x", {}, /not a store path/],
] as const) {
  test(`the sandbox path ${JSON.stringify(inside)} from ${JSON.stringify(options)} is refused`, () => {
    assert.throws(() => check({ [inside]: options }), reason);
  });
}

test("devices, parts of /etc and whole store objects can be sandbox paths", () => {
  const paths = check({ "/dev/kvm": {}, "/etc/ssl/certs": {}, [object]: {} });
  assert.deepEqual(
    paths.map(({ inside }) => inside),
    ["/dev/kvm", "/etc/ssl/certs", object],
  );
});

test("one sandbox path in another is refused, unless it shows the same", () => {
  assert.throws(
    () => check({ "/bin": {}, "/bin/sh": { path: "/usr/bin/dash" } }),
    (error) =>
      hasCode(error, "sandbox.path") &&
      error.message === "sandbox paths /bin and /bin/sh overlap: one lies in the other",
  );
  const both = check({ "/usr": {}, "/usr/bin/env": {}, "/usrx": {} });
  assert.deepEqual(
    outermost(namedPaths(both, ["/usr", "/usr/bin/env"])).map(({ inside }) => inside),
    ["/usr"],
  );
  assert.deepEqual(
    outermost(namedPaths(both, ["/usr/bin/env"])).map(({ inside }) => inside),
    ["/usr/bin/env"],
  );
});

test("a build gets what is always present and what it names, however it spells it", () => {
  const paths = check({ "/a": { alwaysPresent: true }, "/b": {}, "/c": {} });
  assert.deepEqual(
    namedPaths(paths, ["/c/", "/nowhere"]).map(({ inside }) => inside),
    ["/a", "/c"],
  );
});

test("a source in the store is known to be one", () => {
  const [path] = check({ "/bin/sh": { path: `${object}/bin/sh` } });
  assert.ok(path !== undefined);
  assert.deepEqual(objectBehind(path, defaultStoreDirectory), { path: object, sub: "bin/sh" });
  assert.equal(objectBehind(path, parseStoreDirectory("/other/store")), undefined);
});

test("what a sandbox path is, is seen when it is needed", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-paths-");
  const at = (name: string): string => join(folder.path, name);
  mkdirSync(at("folder"));
  writeFileSync(at("file"), "");
  symlinkSync("folder/x", at("relative"));
  symlinkSync("/abs", at("absolute"));
  const resolve = (name: string): unknown =>
    resolvePath({ inside: "/x", source: at(name), alwaysPresent: false });
  assert.deepEqual(resolve("folder"), { inside: "/x", type: "directory", source: at("folder") });
  assert.deepEqual(resolve("file"), { inside: "/x", type: "file", source: at("file") });
  assert.deepEqual(resolve("relative"), { inside: "/x", type: "link", target: at("folder/x") });
  assert.deepEqual(resolve("absolute"), { inside: "/x", type: "link", target: "/abs" });
  assert.equal(
    resolvePath({ inside: "/dev/null", source: "/dev/null", alwaysPresent: false }).type,
    "device",
  );
  assert.throws(() => resolve("missing"), /sandbox path \/x does not exist: .*missing is missing/);
});

test("a link in the store leads to where it leads by its logical path", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-paths-");
  symlinkSync("busybox", join(folder.path, "sh"));
  const path = { inside: "/bin/sh", source: `${object}/bin/sh`, alwaysPresent: false };
  const target = `${object}/bin/busybox`;
  assert.deepEqual(resolvePath(path, join(folder.path, "sh")), {
    inside: "/bin/sh",
    type: "link",
    target,
  });
});
