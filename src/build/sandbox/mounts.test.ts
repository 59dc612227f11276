import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { defaultStoreDirectory } from "../../format/store-path.ts";
import { temporaryDirectory } from "../../util/temp.ts";
import { MountTable } from "./mount-table.ts";
import { mountsOf } from "./mounts.ts";

test("mounts come in the order in which they can be made, and nothing of the host is writable", async () => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-mounts-");
  const at = (name: string): string => join(folder.path, name);
  for (const name of ["root", "tmp", "store", "inputs", "work", "real", "usr/lib"]) {
    mkdirSync(at(name), { recursive: true });
  }
  const line = (path: string, options: string): string =>
    `1 1 0:1 / ${path} rw,${options} - tmpfs tmpfs rw\n`;
  const mounts = mountsOf({
    slot: { root: at("root"), tmp: at("tmp"), store: at("store"), inputs: at("inputs") },
    workDirectory: at("work"),
    storeDirectory: defaultStoreDirectory,
    realDirectory: at("real"),
    objects: ["a", "b"],
    paths: [
      { inside: "/bin", type: "link", target: "/usr/bin" },
      { inside: "/dev/kvm", type: "device", source: "/dev/null" },
      { inside: "/usr", type: "directory", source: at("usr") },
    ],
    table: new MountTable(Buffer.from(line(folder.path, "noexec") + line(at("usr/lib"), "x"))),
  });
  const shown = mounts.map(({ source, target, type, options }) =>
    [source, target, type, options.join(",")].join(" ").replaceAll(folder.path, ""),
  );
  assert.deepEqual(shown, [
    "/root /root none bind,ro,nosuid,nodev,noexec",
    ...["full", "null", "random", "tty", "urandom", "zero"].map(
      (name) => `/dev/${name} /root/dev/${name} none bind,ro,nosuid,noexec`,
    ),
    "proc /root/proc proc nosuid,nodev,noexec,hidepid=2",
    "devpts /root/dev/pts devpts newinstance,ptmxmode=0666,mode=0620,nosuid,noexec",
    "tmpfs /root/dev/shm tmpfs nosuid,nodev,mode=1777,size=50%",
    "/work /root/build none bind,nosuid,nodev,noexec",
    "/tmp /root/tmp none bind,nosuid,nodev,noexec",
    "/store /root/opt/zb/store none bind,nosuid,nodev,noexec",
    "/real /inputs none bind,ro,nosuid,nodev,noexec",
    "/inputs/a /root/opt/zb/store/a none bind",
    "/inputs/b /root/opt/zb/store/b none bind",
    "/dev/null /root/dev/kvm none bind,ro,nosuid,noexec",
    "/usr /root/usr none rbind,ro,nosuid,nodev,noexec",
    "/usr/lib /root/usr/lib none bind,ro,nosuid,nodev",
  ]);
});
