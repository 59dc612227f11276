/** Objects away. */
import { many } from "../../test/support/brief.ts";
import { type Figure, type Job, seconds, send } from "../job.ts";
import { closure } from "../objects.ts";

const count = many(1000);
const shapes = ["chain", "wide"] as const;

/** One object and all that refer to it. zb fails at it. */
export const deletion: Job = {
  name: "delete 1,000 objects",
  async run(bench) {
    if (bench.name !== "kiln") return [];
    const client = await bench.client();
    const figures: Figure[] = [];
    for (const shape of shapes) {
      const objects = closure(shape, count);
      await send(bench, client, objects);
      const paths = [objects[0]!.path];
      const time = await seconds(() => client.call("kiln.delete", { paths, recursive: true }));
      figures.push({
        what: `delete recursively, ${shape}`,
        value: count / time,
        unit: "objects/s",
      });
    }
    return figures;
  },
  async nix(nix) {
    const figures: Figure[] = [];
    for (const shape of shapes) {
      const objects = closure(shape, count);
      await nix.import(objects);
      // It wants every one of them named.
      const args = ["--delete", ...objects.map(({ path }) => path)];
      const time = await seconds(() => nix.run("nix-store", args));
      figures.push({
        what: `delete recursively, ${shape}`,
        value: count / time,
        unit: "objects/s",
      });
    }
    return figures;
  },
};
