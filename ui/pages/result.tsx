/** One result: what became of it, why, and its log. */
import { type ReactElement, useState } from "react";
import { useLocation } from "wouter";
import { ApiError, apiUrl, getJson, useJson } from "../api.ts";
import type {
  BuildDetailMessage,
  ReasonMessage,
  ResultDetailMessage,
  ResultMessage,
} from "../api.ts";
import { bytes, clock, duration, elapsed, nameOfPath, shortID } from "../format.ts";
import { useNow, useTitle } from "../hooks.ts";
import { useKeys } from "../keys.ts";
import { LogView } from "../log/log-view.tsx";
import {
  CopyButton,
  Crumbs,
  derivationHref,
  Fault,
  Loading,
  objectHref,
  PageLink,
  Panel,
  PathText,
  resultHref,
  Segments,
} from "../parts/bits.tsx";
import { StateBadge, StateIcon } from "../parts/state.tsx";
import { targetsText } from "./builds.tsx";
import { NotFoundPage } from "./not-found.tsx";

type Tab = "log" | "outputs" | "why" | "resources";

export function ResultPage({ id, drvPath }: { id: string; drvPath: string }): ReactElement {
  const asked = useJson<ResultDetailMessage>(apiUrl(`/builds/${id}/result`, { drvPath }));
  const { data, error } = asked;
  if (error instanceof ApiError && error.status === 404 && data === undefined) {
    return <NotFoundPage text={`No result of this derivation in build ${shortID(id)}.`} />;
  }
  if (data === undefined)
    return error === undefined ? <Loading lines={8} /> : <Fault error={error} />;
  return <Result data={data} again={asked.again} />;
}

function Result({ data, again }: { data: ResultDetailMessage; again: () => void }): ReactElement {
  const { build, result, log } = data;
  const [tab, setTab] = useState<Tab>("log");
  const [, navigate] = useLocation();
  const isOpen = ["running", "substituting", "waiting"].includes(result.state);
  const now = useNow(1000, isOpen);
  useTitle(`${marks[result.state] ?? ""} ${result.name}`.trim());
  const step = async (by: number): Promise<void> => {
    // A daemon that does not answer is told of at the top of the page.
    const { results } = await getJson<BuildDetailMessage>(apiUrl(`/builds/${build.id}`)).catch(
      () => ({ results: [] }),
    );
    const at = results.findIndex((other) => other.drvPath === result.drvPath);
    const next = results[at + by];
    if (next !== undefined) navigate(resultHref(build.id, next.drvPath));
  };
  useKeys({
    "[": () => void step(-1),
    "]": () => void step(1),
    l: () => setTab("log"),
    c: () => void navigator.clipboard?.writeText(result.drvPath),
  });
  const causeLine = log.cause?.isError === true ? log.cause.lines[0]?.number : undefined;
  return (
    <>
      <Crumbs>
        <PageLink to="/">Builds</PageLink> /{" "}
        <PageLink to={`/build/${build.id}/`}>{targetsText(build)}</PageLink> /{" "}
        <span>{result.name}</span>
      </Crumbs>
      <div className="title-row">
        <h1>{result.name}</h1>
        <StateBadge state={result.state} />
        <p className="quiet">{whatHappened(result, now)}</p>
        <div className="tools">
          <PageLink to={derivationHref(result.drvPath)} className="button">
            Derivation
          </PageLink>
        </div>
      </div>
      {(log.cause !== null || result.failure !== null) && <Cause data={data} />}
      <Segments
        label="What to show"
        value={tab}
        options={[
          ["log", "Log"],
          ["outputs", `Outputs ${result.outputs.length}`],
          ["why", "Why"],
          ["resources", "Resources"],
        ]}
        onChange={setTab}
      />
      {tab === "log" && (
        <LogView
          key={result.state === "waiting" ? "waiting" : "log"}
          buildID={build.id}
          drvPath={result.drvPath}
          name={result.name}
          info={log}
          emptyText={emptyText(data, now)}
          causeLine={causeLine}
          onFinished={again}
        />
      )}
      {tab === "outputs" && <Outputs result={result} />}
      {tab === "why" && (
        <Panel title="Why it was built">
          <Why result={result} />
        </Panel>
      )}
      {tab === "resources" && <Resources result={result} now={now} />}
    </>
  );
}

export const marks: Readonly<Record<string, string>> = {
  running: "▸",
  built: "✓",
  reused: "=",
  substituted: "⇣",
  failed: "✗",
  error: "!",
  cancelled: "⊘",
  interrupted: "?",
  waiting: "◦",
};

function whatHappened(result: ResultMessage, now: number): string {
  const { state, durationMs, startedAt, estimateMs, failure } = result;
  if (failure !== null) {
    return durationMs === null
      ? failure.message
      : `${failure.message} after ${duration(durationMs)}`;
  }
  if (state === "running" && startedAt !== null) {
    const usual = estimateMs === null ? "" : ` of about ${duration(estimateMs)}`;
    return `for ${elapsed(now - Date.parse(startedAt))}${usual}`;
  }
  if (state === "waiting") return "its inputs are not there yet, or no job is free";
  if (state === "reused") return "it was there";
  if (state === "skipped") return "not started";
  return durationMs === null ? "" : `in ${duration(durationMs)}`;
}

function emptyText({ result, log }: ResultDetailMessage, now: number): string {
  if (result.state === "running" && result.startedAt !== null) {
    return `No output yet, running for ${elapsed(now - Date.parse(result.startedAt))}`;
  }
  if (result.state === "waiting") return "No output yet: it waits.";
  if (result.state === "reused") return "Reused: it was made in another build, which has its log.";
  if (result.state === "skipped") return "It was not started.";
  if (!log.present && result.logSize > 0) return "The log was deleted.";
  return "The builder wrote nothing.";
}

function Cause({ data }: { data: ResultDetailMessage }): ReactElement {
  const { result, log, build } = data;
  const { cause } = log;
  const command = `kiln log ${shortID(build.id)} ${result.name}`;
  return (
    <section className={`cause-box s-${result.state}`} aria-labelledby="cause-title">
      <h2 id="cause-title">
        <StateIcon state={result.state} />
        {cause?.isError === true ? "Likely cause" : cause === null ? "What happened" : "Last lines"}
        {cause?.isError === true && (
          <a href={`#L${cause.lines[0]?.number}`} className="line-link">
            line {cause.lines[0]?.number.toLocaleString("en-US")}
          </a>
        )}
      </h2>
      {cause === null ? (
        <p>{result.failure?.message}</p>
      ) : (
        <pre>{cause.lines.map(({ text }) => text).join("\n")}</pre>
      )}
      {log.present && (
        <p className="again">
          Its log in your terminal: <code>{command}</code>
          <CopyButton text={command} what="command" />
        </p>
      )}
    </section>
  );
}

function Outputs({ result }: { result: ResultMessage }): ReactElement {
  return (
    <Panel title="Outputs">
      <table className="list">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Store path</th>
          </tr>
        </thead>
        <tbody>
          {result.outputs.map(({ name, path }) => (
            <tr key={name}>
              <td>{name}</td>
              <td>
                {path === null ? (
                  <span className="quiet">not made</span>
                ) : (
                  <>
                    <PageLink to={objectHref(path)} entry>
                      {nameOfPath(path)}
                    </PageLink>{" "}
                    <PathText path={path} />
                  </>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}

const reasons: Readonly<Record<string, string>> = {
  neverRealised: "No build of it has succeeded before.",
  inputChanged: "An input changed.",
  derivationChanged: "The derivation changed.",
  outputMissing: "An output was missing from the store.",
  cleanAsked: "It was asked to build all anew.",
  checkAsked: "It was asked to build again and compare.",
  incompatibleClosure: "What was there did not fit together with the other inputs.",
  untrusted: "What was there is not signed by a key that is trusted.",
};

export function Why({ result }: { result: ResultMessage }): ReactElement {
  const { reason } = result;
  if (reason === null) {
    return (
      <p className="panel-text">
        {result.state === "reused"
          ? "It was not: its outputs were there."
          : "Nothing is known about that."}
      </p>
    );
  }
  return (
    <dl className="facts">
      <dt>Reason</dt>
      <dd>{reasons[reason.code] ?? reason.code}</dd>
      <Reasons title="Inputs" list={reason.inputs} />
      <Reasons title="Changed" list={reason.changes} />
      <Reasons title="Paths" list={reason.paths} />
      {reason.previousBuildID !== null && (
        <>
          <dt>Compared with</dt>
          <dd>
            <PageLink to={`/build/${reason.previousBuildID}/`}>
              build {shortID(reason.previousBuildID)}
            </PageLink>
          </dd>
        </>
      )}
    </dl>
  );
}

function Reasons({
  title,
  list,
}: {
  title: string;
  list: ReasonMessage["inputs"];
}): ReactElement | null {
  if (list.length === 0) return null;
  return (
    <>
      <dt>{title}</dt>
      <dd>{list.join(", ")}</dd>
    </>
  );
}

function Resources({ result, now }: { result: ResultMessage; now: number }): ReactElement {
  const {
    startedAt,
    endedAt,
    durationMs,
    executor,
    isolation,
    buildUser,
    exitCode,
    signal,
    logSize,
  } = result;
  const rows: [string, string | null][] = [
    ["Started", startedAt === null ? null : clock(startedAt, now)],
    ["Ended", endedAt === null ? null : clock(endedAt, now)],
    ["Took", durationMs === null ? null : duration(durationMs)],
    ["Executor", executor],
    ["Isolation", isolation],
    ["Build user", buildUser],
    ["Exit status", exitCode === null ? null : String(exitCode)],
    ["Signal", signal],
    ["Log", bytes(logSize)],
  ];
  return (
    <Panel title="Resources">
      <dl className="facts">
        {rows.flatMap(([name, value]) =>
          value === null ? [] : [<dt key={`${name} name`}>{name}</dt>, <dd key={name}>{value}</dd>],
        )}
      </dl>
    </Panel>
  );
}
