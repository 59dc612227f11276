/**
 * The long kill loop.
 *
 *     npm run crash -- [--kills N] [--seed N]
 *
 * Prints how often each kind of work was under way when the daemon was killed, and fails when one of them was so less than every sixth
 * time, or when something was lost, half made or left behind.
 */
import { isBrief, many } from "../support/brief.ts";
import { randomFrom } from "../support/random.ts";
import { positive, scriptOptions } from "../support/script-options.ts";
import { killLoop } from "./kill-loop.ts";

const values = scriptOptions("npm run crash -- [--kills 300] [--seed N]", {
  kills: { type: "string", default: "300" },
  seed: { type: "string" },
});
const kills = many(positive("kills", values.kills));
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
console.log(`${kills} kills, seed ${seed}`);
const { during, done, interrupted, audited, starts, work, faults } = await killLoop({
  kills,
  random: randomFrom(seed),
  say: (line) => console.log(line),
});
const at = (list: readonly number[], part: number): string =>
  `${Math.round(list[Math.floor((list.length - 1) * part)] ?? 0)} ms`;
console.log(`under way at a kill: ${JSON.stringify(during)}`);
console.log(`acknowledged: ${JSON.stringify(done)}`);
console.log(`clients told of the end: ${interrupted}; objects hashed: ${audited}`);
console.log(
  `start to first answer: median ${at(starts, 0.5)}, 95 % ${at(starts, 0.95)}, longest ${at(starts, 1)}`,
);
console.log(`of that own work: median ${at(work, 0.5)}, longest ${at(work, 1)}`);
for (const fault of faults) console.error(fault);
const rarest = Math.min(...Object.values(during));
if (faults.length > 0 || (!isBrief && rarest < kills / 6)) process.exitCode = 1;
