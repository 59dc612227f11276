// What `kiln build --json` prints is what docs/events.schema.json says, with a daemon and without.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { eventSchema } from "../src/build/event-schema.ts";
import { hostFolders, Place, shellTargets } from "./support/cli.ts";

const project = shellTargets({
  default: "echo one; echo two; echo hi > $out",
  bytes: String.raw`printf '\377\n'; echo > $out`,
  bad: "echo oops; exit 3",
});

interface Event {
  readonly type: string;
  readonly seq: number;
  readonly buildID: string;
  readonly [member: string]: unknown;
}

/** The events on a standard output, each checked: what it should have, and nothing that nobody described. */
function eventsOf(stdout: Buffer): Event[] {
  const lines = stdout.toString().split("\n");
  assert.equal(lines.pop(), "");
  return lines.map((line) => {
    const event = JSON.parse(line) as Event;
    assert.deepEqual(eventSchema.parse(event), event);
    return event;
  });
}

function countByType(events: readonly Event[]): Record<string, number> {
  return Object.fromEntries(
    [...Map.groupBy(events, ({ type }) => type)].map(([type, own]) => [type, own.length]),
  );
}

describe("the events of kiln build --json", () => {
  for (const mode of ["embedded", "daemon"] as const) {
    test(`are as their schema says (${mode})`, async () => {
      await using place = new Place();
      place.write("kiln.build.ts", project);
      if (mode === "daemon") await place.serve([`--sandbox-path=${hostFolders.join(" ")}`]);
      const run = ["build", "--json", "-L", "--keep-failed", ".", ".#bytes", ".#bad"];
      const built = await place.run(run);
      assert.equal(built.code, 1, built.stderr);
      const events = eventsOf(built.stdout);
      assert.deepEqual(Object.keys(countByType(events)).toSorted(), [
        "build.finished",
        "build.planned",
        "build.started",
        "log",
        "message",
        "object.added",
        "result.finished",
        "result.phase",
        "result.planned",
        "result.started",
      ]);
      assert.equal(events[0]?.["mode"], mode);
      const numbers = events.filter(({ type }) => type !== "log").map(({ seq }) => seq);
      assert.deepEqual(
        numbers,
        numbers.map((_, i) => i + 1),
        "none is missing",
      );
      const logs = events.filter(({ type }) => type === "log");
      assert.ok(logs.some(({ text }) => text === "one\ntwo\n" || text === "one\n"));
      assert.ok(logs.some(({ base64 }) => base64 === "/wo="));
      const kept = events.find(({ type }) => type === "message");
      assert.equal(kept?.["code"], "build.kept");
      const again = eventsOf((await place.run(run.slice(0, -1))).stdout);
      assert.equal(again.at(-1)?.["state"], "reused");
      const checked = eventsOf((await place.run(["build", "--json", "--check"])).stdout);
      assert.equal(new Set(checked.map(({ buildID }) => buildID)).size, 2);
    });
  }

  test("of a build that is over are its last ones", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", project);
    await place.serve([`--sandbox-path=${hostFolders.join(" ")}`]);
    const id = (await place.run(["build", "--detach"])).stdout.toString().trim();
    const events = eventsOf((await place.run(["attach", "--json", id])).stdout);
    assert.equal(events.at(-1)?.type, "build.finished");
  });
});
