/** The least that builds can take on this machine, with nothing around them: no daemon that starts programs from Node does better. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, fsync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { many } from "../test/support/brief.ts";
import type { Limit } from "./limits.ts";

const sync = promisify(fsync);

/** Builders alone: as many at a time as there are CPUs, each a shell that writes a file. */
export async function shells(folder: string): Promise<Limit> {
  const count = many(200);
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await shell(join(folder, `built-${next++}`));
  };
  const begin = performance.now();
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
  const value = (count * 1000) / (performance.now() - begin);
  return { what: "shells that write a file, started from Node", value, unit: "per s" };
}

/** A chain of them, with what must be on disk before the next one may begin: that a name is about to appear. */
export async function links(folder: string): Promise<Limit> {
  const count = many(50);
  const places = join(folder, "links");
  mkdirSync(places, { recursive: true });
  const log = openSync(join(folder, "intents"), "w");
  const begin = performance.now();
  for (let index = 0; index < count; index++) {
    const made = join(folder, `link-${index}`);
    await shell(made);
    writeSync(log, Buffer.alloc(4096));
    await sync(log);
    renameSync(made, join(places, String(index)));
  }
  const value = (performance.now() - begin) / count;
  closeSync(log);
  return { what: "a shell that writes a file, a sync and a rename", value, unit: "ms" };
}

/** The programs that make a sandbox, around nothing: its namespaces, two mounts, and a change of user at the end. */
export async function sandboxes(): Promise<Limit> {
  const count = many(30);
  const user = process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"];
  const namespaces = ["--mount", "--pid", "--ipc", "--uts", "--net", "--cgroup", "--fork"];
  const script = `ip link set lo up & unshare --user true & mount -t tmpfs tmpfs /mnt
    mount --bind /mnt /mnt; wait; exec unshare --root=/ /bin/sh -c :`;
  const begin = performance.now();
  for (let index = 0; index < count; index++) {
    await once(
      spawn("unshare", [...user, ...namespaces, "/bin/sh", "-c", script], { stdio: "ignore" }),
      "exit",
    );
  }
  const value = (performance.now() - begin) / count;
  return { what: "the programs of a sandbox around nothing", value, unit: "ms" };
}

async function shell(file: string): Promise<void> {
  await once(spawn("/bin/sh", ["-c", `echo > ${file}`], { stdio: "ignore" }), "exit");
}
