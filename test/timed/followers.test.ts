// Twenty who follow a build slow neither its builder nor the daemon's answers, and get all that it writes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreClient } from "../../src/rpc/client.ts";
import { hostFolders, Place, shellTargets } from "../support/cli.ts";

const followers = 20;
const rounds = 80;
/** 4,000 lines in some two seconds, at a pace of their own. */
const script = `for i in $(seq ${rounds}); do seq 1000 1049; sleep 0.02; done; echo > $out`;

interface Outcome {
  readonly seconds: number;
  /** Milliseconds that each question took meanwhile. */
  readonly answers: readonly number[];
  /** Bytes of log that each follower got. */
  readonly bytes: readonly number[];
}

async function buildWith(place: Place, target: string, many: number): Promise<Outcome> {
  const { stdout } = await place.run(["eval", `.#${target}`, "--json"]);
  const { drvPath } = JSON.parse(stdout.toString()) as { drvPath: string };
  const detached = await place.run(["build", "--detach", `.#${target}`]);
  const buildID = detached.stdout.toString().trim();
  const clients = await Promise.all(
    Array.from({ length: many + 1 }, async () => await StoreClient.connect(place.socket)),
  );
  const [asker, ...watchers] = clients;
  assert.ok(asker !== undefined);
  const over = new AbortController();
  const watched = watchers.map(async (client) => {
    let bytes = 0;
    const logs = "all" as const;
    await client.watch(
      buildID,
      (event) => {
        if (event.type === "log" && "text" in event) bytes += String(event.text).length;
      },
      { logs },
    );
    return bytes;
  });
  const answers: number[] = [];
  const asking = (async () => {
    while (!over.signal.aborted) {
      const start = performance.now();
      await asker.call("kiln.missing", { paths: [] });
      answers.push(performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  await asker.watch(buildID, () => {});
  over.abort();
  await asking;
  const bytes = await Promise.all(watched);
  const { results } = await asker.call("kiln.results", { buildID });
  const seconds = (results.find((one) => one.drvPath === drvPath)?.durationMs ?? NaN) / 1000;
  await Promise.all(clients.map(async (client) => await client.close()));
  return { seconds, answers: answers.toSorted((a, b) => a - b), bytes };
}

test("20 followers slow neither a builder nor the daemon's answers", async (t) => {
  await using place = new Place();
  place.write("kiln.build.ts", shellTargets({ alone: script, followed: script }));
  await place.serve([`--sandbox-path=${hostFolders.join(" ")}`]);
  const alone = await buildWith(place, "alone", 0);
  const followed = await buildWith(place, "followed", followers);
  const late = (times: readonly number[]): number => times[Math.floor(times.length * 0.95)] ?? 0;
  t.diagnostic(
    `alone ${alone.seconds}s, answers within ${late(alone.answers).toFixed(1)} ms; followed ${followed.seconds}s, ${late(followed.answers).toFixed(1)} ms`,
  );
  assert.deepEqual([...new Set(followed.bytes)], [rounds * 50 * 5]);
  assert.ok(followed.seconds < alone.seconds * 1.25 + 0.2, `${followed.seconds}`);
  assert.ok(late(followed.answers) < 100, `${late(followed.answers)}`);
});
