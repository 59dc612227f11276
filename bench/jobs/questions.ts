/** Asking what the store has. */
import { many } from "../../test/support/brief.ts";
import { fresh, type Job, seconds, send } from "../job.ts";
import { randomObject } from "../objects.ts";

/** One after the other, and many at once. */
export const questions: Job = {
  name: "questions",
  async run(bench) {
    const objects = Array.from({ length: 200 }, () => randomObject(fresh("asked"), 100));
    const client = await bench.client();
    await send(bench, client, objects);
    const ask = async (index: number): Promise<unknown> =>
      await client.call("zb.info", { path: objects[index % 200]!.path });
    const count = many(3000);
    const singly = await seconds(async () => {
      for (let index = 0; index < count; index++) await ask(index);
    });
    const deep = await seconds(async () => {
      let next = 0;
      const lane = async (): Promise<void> => {
        while (next < count * 4) await ask(next++);
      };
      await Promise.all(Array.from({ length: 64 }, lane));
    });
    return [
      { what: "info, one by one", value: count / singly, unit: "per s" },
      { what: "info, 64 deep", value: (count * 4) / deep, unit: "per s" },
    ];
  },
};
