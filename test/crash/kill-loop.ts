/**
 * Kills a daemon at work, again and again, and looks at what is left each time: with `kill -9`, at a random moment of an import, a
 * build, a deletion or a collection, in turn.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseStoreDirectory } from "../../src/format/store-path.ts";
import { StoreClient } from "../../src/rpc/client.ts";
import { hostFolders, Place, type Started } from "../support/cli.ts";
import { audit } from "./audit.ts";
import { kinds, Load, type Kind } from "./load.ts";
import { Oracle } from "./oracle.ts";

export interface KillOptions {
  readonly kills: number;
  readonly random: () => number;
  readonly say?: (line: string) => void;
}

export interface KillReport {
  readonly kills: number;
  /** How often each kind of work was under way at the kill. */
  readonly during: Readonly<Record<Kind, number>>;
  /** How often each kind was acknowledged. */
  readonly done: Readonly<Record<Kind, number>>;
  /** Clients that were told of the end of their connection. */
  readonly interrupted: number;
  /** Objects that were hashed. */
  readonly audited: number;
  /** Milliseconds from the start of the process to its first answer, sorted, and those of its own work (CPU) till then. */
  readonly starts: readonly number[];
  readonly work: readonly number[];
  readonly faults: readonly string[];
}

/** Names that Kiln has not made, and must leave. */
const foreign = ["README", "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a-foreign"];

export async function killLoop({ kills, random, say }: KillOptions): Promise<KillReport> {
  await using place = new Place();
  const files = { store: place.store, database: join(place.directory, "var/kiln/db.sqlite") };
  const buildRoot = join(place.directory, "builds");
  mkdirSync(buildRoot);
  const flags = [
    "--sandbox=auto",
    `--sandbox-path=${hostFolders.join(" ")}`,
    `--build-root=${buildRoot}`,
  ];
  const oracle = new Oracle();
  const load = new Load(oracle, parseStoreDirectory(place.store), random);
  const during: Record<Kind, number> = { import: 0, build: 0, delete: 0, collect: 0 };
  const starts: number[] = [];
  const work: number[] = [];
  const faults: string[] = [];
  let audited = 0;
  for (let kill = 0; kill <= kills; kill++) {
    const began = performance.now();
    const daemon = await place.serve(flags);
    await using client = await StoreClient.connect(place.socket);
    await client.hello();
    starts.push(performance.now() - began);
    work.push(cpuTime(daemon.process.pid!));
    if (kill === 0) for (const name of foreign) writeFileSync(join(place.store, name), "foreign");
    faults.push(...(await unfinished(place, buildRoot)));
    const found = audit({ ...files, foreign });
    audited += found.paths.size;
    faults.push(...found.faults);
    const { roots } = await client.call("kiln.roots", {});
    faults.push(
      ...oracle.compare(found.paths, new Map(roots.map(({ name, path }) => [name, path]))),
    );
    faults.push(...load.faults.splice(0));
    if (faults.length > 0) {
      faults.unshift(`after kill ${kill}:`);
      break;
    }
    if (kill === kills) break;
    const killed = await killDuring(kinds[kill % kinds.length]!, {
      load,
      daemon,
      socket: place.socket,
      random,
    });
    for (const kind of killed) during[kind]++;
    if (kill % 25 === 24)
      say?.(`${kill + 1} kills, ${found.paths.size} objects: ${JSON.stringify(during)}`);
  }
  starts.sort((a, b) => a - b);
  work.sort((a, b) => a - b);
  return {
    kills,
    during,
    done: load.done,
    interrupted: load.interrupted,
    audited,
    starts,
    work,
    faults,
  };
}

/** Lets the clients work, and kills the daemon within work of this kind. Gives the kinds that were under way. */
async function killDuring(
  kind: Kind,
  {
    load,
    daemon,
    socket,
    random,
  }: { load: Load; daemon: Started; socket: string; random: () => number },
): Promise<Kind[]> {
  const working = load.run(socket);
  await delay(random() * 300);
  let killed: Kind[] = [];
  for (let tries = 0; ; tries++) {
    // What fails is told by the audit.
    if (load.faults.length > 0 || tries > 500) break;
    await Promise.race([load.begins(kind), delay(5000)]);
    await delay(random() * load.usual[kind]);
    if (load.underWay[kind] === 0) continue;
    killed = kinds.filter((one) => load.underWay[one] > 0);
    break;
  }
  daemon.process.kill("SIGKILL");
  await daemon.ended;
  await working;
  return killed;
}

/** Waits for the daemon to take away what its predecessor left. */
async function unfinished(place: Place, buildRoot: string): Promise<string[]> {
  const look = (): string[] => [
    ...["tmp", "trash"].flatMap((name) => readdirSync(join(place.store, ".kiln", name))),
    ...readdirSync(buildRoot),
    ...processesIn(place.directory),
  ];
  const deadline = performance.now() + 20_000;
  let left = look();
  while (left.length > 0 && performance.now() < deadline) {
    await delay(20);
    left = look();
  }
  return left.map((name) => `not swept: ${name}`);
}

/** Builders that still run: their environment names the store. */
function processesIn(directory: string): string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
        return environment.includes(`out=${directory}/`);
      } catch {
        return false; // gone, or another's
      }
    })
    .map((pid) => `process ${pid}`);
}

const ticks = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));

/** Milliseconds of CPU that the process has used. */
function cpuTime(pid: number): number {
  if (!existsSync(`/proc/${pid}/stat`)) return 0;
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / ticks;
}
