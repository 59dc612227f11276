/** How the daemon is doing. */
import { type FormEvent, type ReactElement, useEffect, useState } from "react";
import { ApiError, apiUrl, postJson, storeToken, useAdministrator, useJson } from "../api.ts";
import type { DiskMessage, HealthMessage, RunningMessage } from "../api.ts";
import { bytes, elapsed, plural } from "../format.ts";
import { useNow, useTitle } from "../hooks.ts";
import { useEvents } from "../live.ts";
import { Fault, Figure, Loading, Panel } from "../parts/bits.tsx";
import { StateIcon } from "../parts/state.tsx";

export function HealthPage(): ReactElement {
  useTitle("Health");
  const { data, error, again } = useJson<HealthMessage>(apiUrl("/health"));
  const disk = useJson<DiskMessage>(apiUrl("/disk")).data;
  const [running, setRunning] = useState<RunningMessage>();
  useEvents(apiUrl("/builds/events"), { running: setRunning });
  const now = useNow();
  useEffect(() => {
    const timer = setInterval(again, 30_000);
    return () => clearInterval(timer);
    // oxlint-disable-next-line react/exhaustive-deps
  }, []);
  if (data === undefined)
    return error === undefined ? <Loading lines={8} /> : <Fault error={error} />;
  const { jobs, jobsUsed, waiting } = running ?? data;
  const builds = running?.builds.length ?? data.runningBuilds;
  const warnings = data.findings.filter(({ state }) => state !== "good");
  return (
    <>
      <div className="title-row">
        <h1>Health</h1>
        <p className="quiet">
          kiln {data.version}, {data.mode}, process {data.pid}
        </p>
      </div>
      <dl className="figures">
        <Figure
          label="Jobs"
          value={`${jobsUsed} of ${jobs}`}
          note={`${plural(builds, "build")}, ${waiting} waiting`}
        />
        <Figure
          label="Running for"
          value={elapsed(now - Date.parse(data.startedAt))}
          note={`Node ${data.node}`}
        />
        <Figure label="Memory" value={bytes(data.memory)} note="of the daemon itself" />
        {disk !== undefined && (
          <Figure
            label="Store"
            value={bytes(disk.narSize)}
            note={`${plural(disk.objects, "object")}, ${bytes(disk.free)} free`}
          />
        )}
        <Figure
          label="Builders"
          value={data.isolation.startsWith("none") ? "not isolated" : "isolated"}
          note={data.isolation}
        />
      </dl>
      <Panel
        title="What works on this machine"
        aside={
          warnings.length === 0 ? "nothing to complain about" : plural(warnings.length, "warning")
        }
      >
        <ul className="findings">
          {data.findings.map(({ about, state, text, hint }) => (
            <li key={`${about} ${text}`}>
              <span
                className={
                  state === "good" ? "s-built" : state === "bad" ? "s-failed" : "s-running"
                }
              >
                <StateIcon
                  state={state === "good" ? "built" : state === "bad" ? "failed" : "error"}
                />
              </span>
              <b>{about}</b>
              <span>
                {state === "good" ? "" : `${state === "bad" ? "Fault" : "Warning"}: `}
                {text}
                {hint !== null && <span className="sub">{hint}</span>}
              </span>
            </li>
          ))}
        </ul>
      </Panel>
      <div className="two even">
        <Administration isPossible={data.administrable} />
        <Panel title="For programs">
          <ul className="plain-list">
            <li>
              <a href="/api/v1/openapi.json">OpenAPI document</a>{" "}
              <span className="quiet">of the HTTP API</span>
            </li>
            <li>
              <a href="/metrics">Metrics</a> <span className="quiet">for Prometheus</span>
            </li>
          </ul>
        </Panel>
      </div>
    </>
  );
}

/** The token lets this window change things until it is closed. */
function Administration({ isPossible }: { isPossible: boolean }): ReactElement {
  const isAdministrator = useAdministrator();
  const [fault, setFault] = useState("");
  const submit = async (event: FormEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget;
    const token = new FormData(form).get("token");
    storeToken(typeof token === "string" ? token.trim() : "");
    try {
      await postJson(apiUrl("/session"));
      setFault("");
    } catch (error) {
      storeToken(null);
      setFault(error instanceof ApiError ? error.message : "the daemon does not answer");
    }
  };
  return (
    <Panel title="Administration">
      {!isPossible ? (
        <p className="panel-text quiet">
          Nothing can be changed here. <code>kiln serve --ui --ui-token-file</code> lets an
          administrator.
        </p>
      ) : isAdministrator ? (
        <p className="panel-text">
          This window may change things.{" "}
          <button type="button" className="button" onClick={() => storeToken(null)}>
            Give that up
          </button>
        </p>
      ) : (
        <form className="panel-find" onSubmit={(event) => void submit(event)}>
          <input
            name="token"
            type="password"
            className="input"
            aria-label="The administrator's token"
            placeholder="The administrator's token"
            autoComplete="off"
          />
          <button type="submit" className="button">
            Use it
          </button>
          <span role="alert" className="s-failed">
            {fault}
          </span>
        </form>
      )}
    </Panel>
  );
}
