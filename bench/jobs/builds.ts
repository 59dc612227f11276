/** Building, as a client sees it. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { many } from "../../test/support/brief.ts";
import type { Derivation } from "../../src/format/derivation/derivation.ts";
import { inputPlaceholder } from "../../src/format/derivation/placeholders.ts";
import { derivationPath } from "../../src/format/derivation/print.ts";
import { shell } from "../../test/support/derivations.ts";
import { compareBytes } from "../../src/util/byte-string.ts";
import { build, type Figure, fresh, type Job, middle, put, seconds, send } from "../job.ts";
import type { Nix } from "../nix.ts";
import { randomObject } from "../objects.ts";
import { sandboxed } from "../peer.ts";

const [wide, long, leaves, sleepers] = [many(100), many(100), many(5000), many(64)];

/** Of builders in the sandbox. */
const isolated = many(40);

/** Small builds: many at once, and one after the other. */
export const builds: Job = {
  name: "builds",
  async run(bench) {
    const client = await bench.client();
    const paths = await put(bench, client, wideOf());
    const first = await seconds(() => build(client, paths));
    const again = await seconds(() => build(client, paths));
    const links = await put(bench, client, chainOf(long));
    const linked = await seconds(() => build(client, links.slice(-1)));
    const others = await put(bench, client, wideOf());
    const later = await seconds(() => build(client, others));
    const what = "realise 100 others, later";
    return [...figures(first, again, linked), { what, value: wide / later, unit: "builds/s" }];
  },
  async nix(nix) {
    const tag = fresh("b");
    const all = `builtins.genList (n: make "\${toString n}" "echo ${tag}\${toString n} > $out") ${wide}`;
    const paths = await instantiate(nix, tag, all);
    const first = await seconds(() => nix.run("nix-store", ["--realise", ...paths]));
    const again = await seconds(() => nix.run("nix-store", ["--realise", ...paths]));
    const chain = `[ (builtins.foldl' (before: n: make "chain-\${toString n}" "echo ${tag} \${toString n} \${before} > $out") "" (builtins.genList (n: n) ${long})) ]`;
    const links = await instantiate(nix, tag, chain);
    const linked = await seconds(() => nix.run("nix-store", ["--realise", ...links]));
    return figures(first, again, linked);
  },
};

/** Derivations that need nothing of each other. */
function wideOf(): Derivation[] {
  const tag = fresh("b");
  return Array.from({ length: wide }, (_, index) =>
    shell(`${tag}-${index}`, `echo ${tag}${index} > $out`),
  );
}

function figures(first: number, again: number, linked: number): Figure[] {
  return [
    { what: "realise 100 derivations", value: wide / first, unit: "builds/s" },
    { what: "realise them again", value: again, unit: "s" },
    { what: "chain of builds, per build", value: (linked / long) * 1000, unit: "ms" },
  ];
}

/** Derivations of Nix's own kind, from a list in its language; `make` takes a name and a script. */
async function instantiate(nix: Nix, tag: string, list: string): Promise<string[]> {
  const expression = `let make = name: script: derivation {
    name = "${tag}-\${name}"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ];
  }; in ${list}`;
  const { stdout } = await nix.run("nix-instantiate", ["--expr", expression]);
  return stdout.toString().trim().split("\n");
}

/** Builders in the sandbox: one after the other, and one with many inputs beside one without a sandbox. */
export const sandboxedBuilds: Job = {
  name: "sandboxed builds",
  async run(bench) {
    const timeOf = async (flags: readonly string[]): Promise<number> => {
      await bench.start(flags);
      const client = await bench.client();
      const objects = Array.from({ length: many(100) }, () => randomObject(fresh("input"), 1000));
      await send(bench, client, objects);
      const inputSources = objects.map(({ path }) => path).toSorted(compareBytes);
      const some = Array.from({ length: many(5) }, () => ({
        ...shell(fresh("inputs"), "echo > $out"),
        inputSources,
      }));
      const [first, ...paths] = await put(bench, client, some);
      await build(client, [first!]); // what is found out once is not measured
      const times: number[] = [];
      for (const path of paths) times.push(await seconds(() => build(client, [path])));
      return middle(times) * 1000;
    };
    const plain = await timeOf([]);
    const inSandbox = await timeOf(sandboxed);
    const client = await bench.client();
    const links = await put(bench, client, chainOf(isolated));
    const linked = await seconds(() => build(client, links.slice(-1)));
    return [
      {
        what: "chain of builds in the sandbox, per build",
        value: (linked / isolated) * 1000,
        unit: "ms",
      },
      {
        what: "sandbox with 100 inputs, over unsandboxed",
        value: inSandbox - plain,
        unit: "ms",
      },
    ];
  },
};

/** Derivations that need each the one before. */
function chainOf(count: number): Derivation[] {
  const tag = fresh("chain");
  const chain: Derivation[] = [];
  for (let index = 0; index < count; index++) {
    const before = chain.at(-1);
    const input = before && derivationPath(before);
    const env = input === undefined ? {} : { input: inputPlaceholder(input, "out") };
    const inputs = input === undefined ? [] : [input];
    chain.push(shell(`${tag}-${index}`, `echo ${tag} ${index} > $out`, { env, inputs }));
  }
  return chain;
}

/** What comes after a builder has ended, which notes when that was: how fast a disk creates files depends on what was done there lately. */
export const outputs: Job = {
  name: "outputs",
  async run(bench) {
    const client = await bench.client();
    const tag = fresh("o");
    const note = join(bench.folder, "ended");
    const large = `echo ${tag} > $out; dd if=/dev/urandom bs=1M count=1 of=r 2>/dev/null; i=0; while [ $i -lt ${many(512)} ]; do cat r; i=$((i+1)); done >> $out`;
    const files = `mkdir $out; i=0; while [ $i -lt ${leaves} ]; do echo ${tag} $i > $out/$i; i=$((i+1)); done`;
    const after = async (name: string, script: string): Promise<number> => {
      const made = shell(`${tag}-${name}`, `${script}; date +%s.%N > ${note}`);
      const paths = await put(bench, client, [made]);
      await build(client, paths);
      const over = Date.now() / 1000;
      return Math.max(0.001, over - Number(readFileSync(note, "utf8")));
    };
    return [
      {
        what: "after a builder that wrote 512 MiB",
        value: (many(512) * 1.048576) / (await after("large", large)),
        unit: "MB/s",
      },
      {
        what: "after a builder that wrote 5,000 files",
        value: leaves / (await after("files", files)),
        unit: "files/s",
      },
    ];
  },
};

/** How many builders run at once. */
export const sleeping: Job = {
  name: "64 sleeping builds",
  isLong: true,
  async run(bench) {
    const figures: Figure[] = [];
    for (const jobs of bench.name === "kiln" ? [8, 16] : [8]) {
      await bench.start([`--jobs=${jobs}`].filter(() => bench.name === "kiln"));
      const client = await bench.client();
      const tag = fresh("s");
      const all = Array.from({ length: sleepers }, (_, index) =>
        shell(`${tag}-${index}`, `sleep 0.25; echo ${tag} ${index} > $out`),
      );
      const paths = await put(bench, client, all);
      const time = await seconds(() => build(client, paths));
      figures.push({
        what: `64 sleeping builds, ${jobs} jobs: speed-up`,
        value: (sleepers * 0.25) / time,
        unit: "x",
      });
    }
    return figures;
  },
};
