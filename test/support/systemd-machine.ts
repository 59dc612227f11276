/**
 * A machine that systemd has booted: its own namespaces, this machine's files under an overlay that is forgotten. For installations
 * as they are, without touching this machine.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { temporaryDirectory } from "../../src/util/temp.ts";
import { root } from "./document.ts";
import { kilnProgram } from "./world.ts";

/** Milliseconds from the start to the end. */
const limit = 150_000;
const systemd = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"].find((path) =>
  existsSync(path),
);

/** What does not concern the machine under test, and would wait for hardware or a network. */
const needless = [
  "getty",
  "systemd-journald",
  "systemd-logind",
  "systemd-modules-load",
  "systemd-networkd",
  "systemd-resolved",
  "systemd-sysctl",
  "systemd-timesyncd",
  "systemd-tmpfiles-setup", // empties /tmp
  "systemd-tmpfiles-setup-dev",
  "systemd-udev-trigger",
  "systemd-udevd",
];

/** Puts the machine together in $1, and becomes its init. Only /out and the folders that follow are shared. */
const boot = `
set -e
R=$1/root
O=$1
mkdir "$1/disk" "$R" && mount -t tmpfs tmpfs "$1/disk" && mkdir "$1/disk/up" "$1/disk/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/disk/up,workdir=$1/disk/work" "$R"
mount -t proc proc "$R/proc" && mount -t sysfs sysfs "$R/sys"
mount -t cgroup2 cgroup2 "$R/sys/fs/cgroup"
for d in run opt dev; do mount -t tmpfs -o mode=755 tmpfs "$R/$d"; done
mount -t tmpfs tmpfs "$R/tmp"
for d in null zero full random urandom tty; do touch "$R/dev/$d"; mount --bind "/dev/$d" "$R/dev/$d"; done
mkdir "$R/dev/pts" "$R/dev/shm" "$R/out" "$R/old" && ln -s /proc/self/fd "$R/dev/fd"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$R/dev/pts" && ln -s pts/ptmx "$R/dev/ptmx"
mount --bind "$O" "$R/out"
shift
for d in "$@"; do mkdir -p "$R$d" && mount --bind "$d" "$R$d"; done
units=$R/etc/systemd/system
rm -rf "$units" && mkdir -p "$units/multi-user.target.wants"
ln -s /lib/systemd/system/multi-user.target "$units/default.target"
for unit in ${needless.join(" ")}; do ln -s /dev/null "$units/$unit.service"; done
cp "$O/test.service" "$units/" && ln -s ../test.service "$units/multi-user.target.wants/test.service"
cd "$R" && pivot_root . old && umount -l /old
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin ${systemd} --system --show-status=no >/out/boot.log 2>&1
`;

const unit = `[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
Environment=HOME=/root
ExecStart=/bin/bash /out/script
ExecStopPost=/bin/systemctl poweroff --force --force
StandardOutput=file:/out/said
StandardError=file:/out/said-as-error
`;

/** Why no such machine can be had here, or false. */
export const needsSystemd: string | false = (() => {
  if (systemd === undefined) return "systemd is not installed";
  if (process.getuid?.() !== 0) return "only root boots a machine";
  const mounts = ["unshare", "--mount", "--pid", "--fork", "--cgroup", "sh", "-ec"];
  const [program = "", ...words] = mounts;
  const needed = `mount -t tmpfs tmpfs /mnt; mkdir /mnt/u /mnt/w /mnt/r /mnt/c
    mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/r
    mount -t cgroup2 cgroup2 /mnt/c; mkdir /mnt/c/kiln-test-$$; rmdir /mnt/c/kiln-test-$$`;
  const tried = spawnSync(program, [...words, needed], { encoding: "utf8" });
  return tried.status === 0 ? false : `systemd cannot be booted here: ${tried.stderr.trim()}`;
})();

/**
 * Boots the machine, runs a bash script in it that finds `kiln`, and gives the lines that it has written. `folders`: what the machine
 * has beside the checkout of what may be mounted here.
 */
export async function onSystemdMachine(
  script: string,
  folders: readonly string[] = [],
): Promise<string[]> {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-systemd-");
  writeFileSync(join(folder.path, "test.service"), unit);
  writeFileSync(
    join(folder.path, "script"),
    `exec 2>&1\nkiln() { ${kilnProgram} "$@"; }\n${script}\necho "the script has ended"\n`,
  );
  const namespaces = ["--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup"];
  spawnSync(
    "unshare",
    [
      ...namespaces,
      "--propagation=private",
      "--fork",
      "--kill-child",
      "sh",
      "-c",
      boot,
      "sh",
      folder.path,
      root,
      ...folders,
    ],
    { stdio: "inherit", timeout: limit },
  );
  const read = (name: string): string => {
    const path = join(folder.path, name);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  };
  const lines = read("said").trim().split("\n");
  if (lines.pop() !== "the script has ended") {
    throw new Error(`the machine ended early:\n${read("said")}\n${read("boot.log")}`);
  }
  return lines;
}
