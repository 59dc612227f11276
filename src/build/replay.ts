import type { BuildRow, ResultRow } from "../store/database/builds.ts";
import type { BuildEvent } from "./events.ts";
import { endOf, finishedEvent } from "./reporter.ts";

/** The last events of a build that only the database knows: how each result ended, and how the build did. */
export function finalEvents(build: BuildRow, results: readonly ResultRow[]): BuildEvent[] {
  const bodies = [...results.map((result) => finishedEvent(result)), endOf(build, results)];
  const times = [...results.map(({ endedAt, startedAt }) => endedAt ?? startedAt), build.endedAt];
  return bodies.map((body, i) => ({
    v: 1,
    seq: i + 1,
    time: new Date(times[i] ?? build.startedAt).toISOString(),
    buildID: build.id,
    ...body,
  }));
}
