/** What runs now, and what ran. */
import { type ReactElement, useState } from "react";
import { useLocation, useSearch } from "wouter";
import { apiUrl, useJson } from "../api.ts";
import type { BuildMessage, BuildsMessage, NoteMessage, RunningMessage } from "../api.ts";
import { ago, duration, elapsed, number, plural, shortID } from "../format.ts";
import { useNow, useTitle } from "../hooks.ts";
import { useEvents } from "../live.ts";
import { Fault, Loading, PageLink, Panel, Segments } from "../parts/bits.tsx";
import {
  countsText,
  doneOf,
  StateBadge,
  StateBar,
  StateIcon,
  StateWord,
  totalOf,
} from "../parts/state.tsx";

/** Filters: as the address has them, what they are called, and which states they ask for. */
const filters = [
  ["", "All", ""],
  ["succeeded", "Succeeded", "built,substituted,reused"],
  ["failed", "Failed", "failed,error,interrupted"],
  ["cancelled", "Cancelled", "cancelled"],
] as const;
const pageSize = 50;

export function BuildsPage(): ReactElement {
  const search = new URLSearchParams(useSearch());
  const [, navigate] = useLocation();
  const [filter, , states] = filters.find(([key]) => key === search.get("state")) ?? filters[0];
  const q = search.get("q") ?? "";
  const user = search.get("user") ?? "";
  const [limit, setLimit] = useState(pageSize);
  const url = apiUrl("/builds", { state: states, q, user, limit });
  const asked = useJson<BuildsMessage>(url);
  const [running, setRunning] = useState<RunningMessage>();
  const { again } = asked;
  useEvents(apiUrl("/builds/events"), { running: setRunning, finished: again });
  const now = useNow();
  const count = running?.builds.length ?? 0;
  useTitle(count > 0 ? `▸ ${count} running` : "Builds");
  const go = (next: Record<string, string>): void => {
    const params = new URLSearchParams(
      Object.entries({ state: filter, q, user, ...next }).filter(([, value]) => value !== ""),
    ).toString();
    navigate(params === "" ? "/" : `/?${params}`);
  };
  const isFiltered = filter !== "" || q !== "" || user !== "";
  const ended = asked.data?.builds.filter(({ state }) => state !== "running");
  return (
    <>
      <div className="title-row">
        <h1>Builds</h1>
        {(q !== "" || user !== "") && (
          <p className="quiet">
            {q !== "" && <>with “{q}” </>}
            {user !== "" && <>of {user} </>}
            <button type="button" className="link" onClick={() => go({ q: "", user: "" })}>
              Show all
            </button>
          </p>
        )}
        <div className="tools">
          <Segments
            label="Which builds"
            value={filter}
            options={filters.map(([key, name]) => [key, name])}
            onChange={(value) => go({ state: value })}
          />
        </div>
      </div>
      {running !== undefined && running.builds.length > 0 && <Running {...running} now={now} />}
      <Panel title="Recent" aside={<Kept data={asked.data} isFiltered={isFiltered} />}>
        {asked.error !== undefined && asked.data === undefined && <Fault error={asked.error} />}
        {asked.data === undefined && asked.error === undefined && <Loading lines={6} />}
        {ended !== undefined && <Recent builds={ended} now={now} isFiltered={isFiltered} />}
        {(asked.data?.builds.length ?? 0) >= limit && (
          <p className="panel-foot">
            <button type="button" className="button" onClick={() => setLimit(limit + pageSize * 2)}>
              Show more
            </button>
          </p>
        )}
      </Panel>
    </>
  );
}

function Kept(props: {
  data: BuildsMessage | undefined;
  isFiltered: boolean;
}): ReactElement | null {
  const { data, isFiltered } = props;
  if (data === undefined) return null;
  const days = data.retentionMs === null ? undefined : Math.round(data.retentionMs / 86_400_000);
  const logs =
    days === undefined ? "" : days < 1 ? " · for less than a day" : ` · for ${plural(days, "day")}`;
  return (
    <>
      {isFiltered && "of "}
      {plural(data.total, "build")} kept{logs}
    </>
  );
}

function Running(props: RunningMessage & { now: number }): ReactElement {
  const { builds, jobs, jobsUsed, waiting, now } = props;
  return (
    <Panel
      title="Running now"
      aside={`${plural(builds.length, "build")} · ${jobsUsed} of ${plural(jobs, "job")} · ${plural(waiting, "derivation")} waiting`}
    >
      <ul className="running">
        {builds.map((build) => (
          <li key={build.id}>
            <div className="running-head">
              <StateIcon state="running" label />
              <PageLink to={`/build/${build.id}/`} className="strong">
                {targetsText(build)}
              </PageLink>
              {(build.counts["failed"] ?? 0) > 0 && (
                <StateBadge state="failed" text={`${build.counts["failed"]} failed`} />
              )}
              <span className="end">
                {build.user !== null && <span className="quiet">{build.user}</span>}{" "}
                <span className="time">{elapsed(now - Date.parse(build.startedAt))}</span>
              </span>
            </div>
            <StateBar counts={build.counts} />
            <div className="running-foot">
              <span>
                {number(doneOf(build.counts))} of {number(totalOf(build.counts))}
              </span>
              <span className="now">
                {build.running.slice(0, 2).map(({ drvPath, name, startedAt }) => (
                  <span key={drvPath}>
                    <b>{name}</b> {elapsed(now - Date.parse(startedAt))}
                  </span>
                ))}
                {build.running.length > 2 && <span>{build.running.length - 2} more</span>}
              </span>
            </div>
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Recent(props: {
  builds: readonly BuildMessage[];
  now: number;
  isFiltered: boolean;
}): ReactElement {
  const { builds, now, isFiltered } = props;
  if (builds.length === 0) {
    return (
      <div className="empty">
        {isFiltered ? (
          <p>No such builds.</p>
        ) : (
          <p>
            No builds yet. Start one: <code>kiln build .#app</code>, or <code>zb build</code>{" "}
            through this daemon&rsquo;s socket.
          </p>
        )}
      </div>
    );
  }
  return (
    <table className="list builds">
      <thead>
        <tr>
          <th scope="col">Status</th>
          <th scope="col">Targets</th>
          <th scope="col">What happened</th>
          <th scope="col" className="right">
            Duration
          </th>
          <th scope="col" className="right">
            Started
          </th>
          <th scope="col">Build</th>
        </tr>
      </thead>
      <tbody>
        {builds.map((build) => (
          <tr key={build.id}>
            <td className="cell-state">
              <StateWord state={build.state} />
            </td>
            <td className="cell-targets">
              <PageLink to={`/build/${build.id}/`} entry>
                {targetsText(build)}
              </PageLink>
              <span className="sub">{countsText(build.counts)}</span>
            </td>
            <td className="cell-note">
              <Note note={build.note} />
            </td>
            <td className="right cell-duration">
              {build.endedAt !== null &&
                build.state !== "interrupted" &&
                duration(Date.parse(build.endedAt) - Date.parse(build.startedAt))}
            </td>
            <td className="right cell-started">
              <time dateTime={build.startedAt} title={build.startedAt}>
                {ago(build.startedAt, now)}
              </time>
              {build.user !== null && <span className="sub">{build.user}</span>}
            </td>
            <td className="cell-id">
              <code>{shortID(build.id)}</code>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Note({ note }: { note: NoteMessage | null }): ReactElement | null {
  if (note === null) return null;
  if (note.subject === null) return <>{note.text}</>;
  if (note.text === "changed") {
    return (
      <>
        Because <b>{note.subject}</b> changed
      </>
    );
  }
  return (
    <>
      <b>{note.subject}</b>: {note.text}
    </>
  );
}

export function targetsText({ targets, id }: Pick<BuildMessage, "targets" | "id">): string {
  const names = targets.map(({ name }) => name);
  if (names.length === 0) return shortID(id);
  return names.length > 4
    ? `${names.slice(0, 3).join(", ")} and ${names.length - 3} more`
    : names.join(", ");
}
