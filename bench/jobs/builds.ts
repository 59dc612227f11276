/** Building, as a client sees it. */
import type { Derivation } from "../../src/format/derivation/derivation.ts";
import { inputPlaceholder } from "../../src/format/derivation/placeholders.ts";
import { derivationPath } from "../../src/format/derivation/print.ts";
import { shell } from "../../test/support/derivations.ts";
import { build, type Figure, fresh, type Job, put, seconds } from "../job.ts";

/** Small builds: many at once, and one after the other. */
export const builds: Job = {
  name: "builds",
  async run(bench) {
    const client = await bench.client();
    const tag = fresh("b");
    const many = Array.from({ length: 100 }, (_, index) =>
      shell(`${tag}-${index}`, `echo ${tag}${index} > $out`),
    );
    const paths = await put(bench, client, many);
    const first = await seconds(() => build(client, paths));
    const again = await seconds(() => build(client, paths));
    const chain: Derivation[] = [];
    for (let index = 0; index < 30; index++) {
      const before = chain.at(-1);
      const input = before && derivationPath(before);
      const env = input === undefined ? {} : { input: inputPlaceholder(input, "out") };
      chain.push(
        shell(`${tag}-chain-${index}`, `echo ${tag} ${index} > $out`, {
          env,
          inputs: input === undefined ? [] : [input],
        }),
      );
    }
    const links = await put(bench, client, chain);
    const linked = await seconds(() => build(client, links.slice(-1)));
    return [
      { what: "realise 100 derivations", value: 100 / first, unit: "builds/s" },
      { what: "realise them again", value: again, unit: "s" },
      { what: "chain of builds, per build", value: (linked / 30) * 1000, unit: "ms" },
    ];
  },
};

/** What comes after a builder has ended. */
export const outputs: Job = {
  name: "outputs",
  async run(bench) {
    const client = await bench.client();
    const tag = fresh("o");
    const large = await put(bench, client, [
      shell(
        `${tag}-large`,
        `echo ${tag} > $out; dd if=/dev/urandom bs=1M count=1 of=r 2>/dev/null; i=0; while [ $i -lt 512 ]; do cat r; i=$((i+1)); done >> $out`,
      ),
    ]);
    const nothing = await put(bench, client, [
      shell(
        `${tag}-none`,
        `echo ${tag} > x; dd if=/dev/urandom bs=1M count=1 of=r 2>/dev/null; i=0; while [ $i -lt 512 ]; do cat r; i=$((i+1)); done >> x; echo > $out`,
      ),
    ]);
    const withOutput = await seconds(() => build(client, large));
    const without = await seconds(() => build(client, nothing));
    const files = await put(bench, client, [
      shell(
        `${tag}-files`,
        `mkdir $out; i=0; while [ $i -lt 5000 ]; do echo ${tag} $i > $out/$i; i=$((i+1)); done`,
      ),
    ]);
    const noFiles = await put(bench, client, [
      shell(
        `${tag}-nofiles`,
        `mkdir d; i=0; while [ $i -lt 5000 ]; do echo ${tag} $i > d/$i; i=$((i+1)); done; echo > $out`,
      ),
    ]);
    const withFiles = await seconds(() => build(client, files));
    const withoutFiles = await seconds(() => build(client, noFiles));
    return [
      {
        what: "after a builder that wrote 512 MiB",
        value: (512 * 1.048576) / Math.max(0.001, withOutput - without),
        unit: "MB/s",
      },
      {
        what: "after a builder that wrote 5,000 files",
        value: 5000 / Math.max(0.001, withFiles - withoutFiles),
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
      const all = Array.from({ length: 64 }, (_, index) =>
        shell(`${tag}-${index}`, `sleep 0.25; echo ${tag} ${index} > $out`),
      );
      const paths = await put(bench, client, all);
      const time = await seconds(() => build(client, paths));
      figures.push({
        what: `64 sleeping builds, ${jobs} jobs: speed-up`,
        value: (64 * 0.25) / time,
        unit: "x",
      });
    }
    return figures;
  },
};
