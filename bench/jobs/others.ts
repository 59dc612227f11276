/** What everybody else waits for an answer while somebody keeps the daemon busy. */
import { many } from "../../test/support/brief.ts";
import { Worker } from "node:worker_threads";
import { shell } from "../../test/support/derivations.ts";
import { build, type Figure, fresh, type Job, put, receive, send } from "../job.ts";
import { closure } from "../objects.ts";
import type { Bench } from "../peer.ts";
import { largeObject, largeTree, smallObjects } from "./import.ts";

/** A second client asks on and on, from a thread of its own. */
export const others: Job = {
  name: "answers to others",
  async run(bench) {
    if (bench.name !== "kiln") return [];
    const client = await bench.client();
    const large = largeObject();
    const small = smallObjects(many(1000));
    const tree = largeTree();
    const chain = closure("chain", many(1000));
    const tag = fresh("others");
    const derivations = Array.from({ length: many(30) }, (_, index) =>
      shell(`${tag}-${index}`, `echo ${tag} ${index} > $out`),
    );
    const works: readonly (readonly [name: string, work: () => Promise<unknown>])[] = [
      ["importing 512 MiB", () => send(bench, client, [large])],
      ["exporting 512 MiB", () => receive(client, [large.path])],
      ["importing small objects", () => send(bench, client, [...small, ...chain])],
      ["importing a tree", () => send(bench, client, [tree])],
      ["exporting small objects", () => receive(client, [...small, chain.at(-1)!].map(pathOf))],
      ["deleting", () => client.call("kiln.delete", { paths: [chain[0]!.path], recursive: true })],
      ["building", async () => build(client, await put(bench, client, derivations))],
    ];
    const figures: Figure[] = [];
    const asked = small[0]!.path;
    for (const [name, work] of works) {
      const value = await waitMeanwhile(bench, asked, work);
      figures.push({ what: `answers to others while ${name}, p99`, value, unit: "ms" });
    }
    return figures;
  },
};

const pathOf = ({ path }: { readonly path: ReturnType<typeof largeObject>["path"] }) => path;

/** The 99th percentile, in milliseconds, of the time that `zb.info` takes while `work` is done. */
async function waitMeanwhile(
  bench: Bench,
  path: string,
  work: () => Promise<unknown>,
): Promise<number> {
  const asker = new Worker(new URL("../asker.ts", import.meta.url), {
    workerData: { socket: bench.socket, path },
  });
  const next = async (): Promise<unknown> =>
    await new Promise((resolve, reject) => {
      asker.once("message", resolve);
      asker.once("error", reject);
    });
  await next();
  await work();
  const answered = next();
  asker.postMessage("enough", []);
  const waits = ((await answered) as number[]).toSorted((a, b) => a - b);
  await asker.terminate();
  return waits[Math.floor(waits.length * 0.99)] ?? Number.NaN;
}
