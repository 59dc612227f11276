/** A derivation: all that a builder gets. */
import type { ReactElement } from "react";
import { ApiError, apiUrl, useJson } from "../api.ts";
import type { BuildsMessage, DerivationMessage } from "../api.ts";
import { ago, duration, nameOfPath, shortID } from "../format.ts";
import { useNow, useTitle } from "../hooks.ts";
import { textOf } from "../log/sgr.ts";
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
} from "../parts/bits.tsx";
import { StateWord } from "../parts/state.tsx";
import { NotFoundPage } from "./not-found.tsx";

export function DerivationPage({ path }: { path: string }): ReactElement {
  const { data, error } = useJson<DerivationMessage>(apiUrl("/derivation", { path }));
  if (error instanceof ApiError && error.status < 500) {
    return <NotFoundPage text={`${path === "" ? "No path" : path}: ${error.message}`} />;
  }
  if (data === undefined)
    return error === undefined ? <Loading lines={8} /> : <Fault error={error} />;
  return <Derivation derivation={data} />;
}

function Derivation({ derivation }: { derivation: DerivationMessage }): ReactElement {
  const { path, name, system, builder, args, env, inputSources, inputDerivations, outputs } =
    derivation;
  useTitle(`${name}.drv`);
  return (
    <>
      <Crumbs>
        <PageLink to="/store/">Store</PageLink> /{" "}
        <PageLink to={objectHref(path)}>{name}.drv</PageLink>
      </Crumbs>
      <div className="title-row">
        <h1>{name}</h1>
        <p className="quiet">derivation for {system}</p>
      </div>
      <Panel title="Builder">
        <dl className="facts">
          <dt>Derivation</dt>
          <dd>
            <PathText path={path} />
          </dd>
          <dt>Builder</dt>
          <dd>
            <code>{builder}</code>
          </dd>
          <dt>Arguments</dt>
          <dd>
            <ol className="args">
              {args.map((arg, i) => (
                // oxlint-disable-next-line react/no-array-index-key
                <li key={i}>
                  <pre tabIndex={0}>{arg.split("\n").map(textOf).join("\n")}</pre>
                </li>
              ))}
            </ol>
          </dd>
          <dt>In your terminal</dt>
          <dd>
            <code>kiln derivation show {path}</code>
            <CopyButton text={`kiln derivation show ${path}`} what="command" />
          </dd>
        </dl>
      </Panel>
      <div className="two even">
        <Panel title="Outputs" aside={outputs.length}>
          <table className="list">
            <thead>
              <tr>
                <th scope="col">Name</th>
                <th scope="col">How it is addressed</th>
              </tr>
            </thead>
            <tbody>
              {outputs.map((output) => (
                <tr key={output.name}>
                  <td>{output.name}</td>
                  <td>
                    {output.path === null ? (
                      <>by its content, {output.hashAlgo}</>
                    ) : (
                      <>
                        <PageLink to={objectHref(output.path)}>{nameOfPath(output.path)}</PageLink>
                        <span className="sub">
                          <code>{`${output.hashAlgo}:${output.hash ?? ""}`}</code>
                        </span>
                      </>
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Panel>
        <Panel title="Inputs" aside={inputDerivations.length + inputSources.length}>
          {inputDerivations.length + inputSources.length === 0 && (
            <p className="panel-text quiet">It needs nothing of the store.</p>
          )}
          <ul className="plain-list">
            {inputDerivations.map((input) => (
              <li key={input.path}>
                <PageLink to={derivationHref(input.path)}>{nameOfPath(input.path)}</PageLink>{" "}
                <span className="quiet">{input.outputs.join(", ")}</span>
              </li>
            ))}
            {inputSources.map((input) => (
              <li key={input}>
                <PageLink to={objectHref(input)}>{nameOfPath(input)}</PageLink>{" "}
                <span className="quiet">source</span>
              </li>
            ))}
          </ul>
        </Panel>
      </div>
      <Panel title="Environment" aside={Object.keys(env).length}>
        <table className="list env">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Value</th>
            </tr>
          </thead>
          <tbody>
            {Object.entries(env).map(([key, value]) => (
              <tr key={key}>
                <td>
                  <code>{textOf(key)}</code>
                </td>
                <td>
                  <code className="value">{value.split("\n").map(textOf).join("\n")}</code>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Panel>
      <Realisations derivation={derivation} />
      <Builds path={path} />
    </>
  );
}

/** When it was built, what that made, and whether it would be built again. */
function Realisations({ derivation }: { derivation: DerivationMessage }): ReactElement {
  const { path, realisations } = derivation;
  const now = useNow(60_000);
  const isThere = realisations.some(({ outputs }) => outputs.every(({ present }) => present));
  return (
    <Panel title="Realisations" aside={realisations.length}>
      <p className="panel-text quiet">
        {realisations.length === 0
          ? "It was not built here, as far as is known: a build that needs it builds it."
          : isThere
            ? "Its outputs are in the store. It is built again when its builder, arguments, environment or inputs change, which makes it another derivation; or when it is asked for: kiln build --clean."
            : "Its outputs are not in the store any more: a build that needs it builds it again."}
      </p>
      {realisations.length > 0 && (
        <ul className="plain-list">
          {realisations.map(({ buildID, endedAt, durationMs, outputs }) => (
            <li key={buildID}>
              <PageLink to={resultHref(buildID, path)}>build {shortID(buildID)}</PageLink>{" "}
              <span className="quiet">
                {ago(endedAt, now)}, took {duration(durationMs)}:
              </span>{" "}
              {outputs.map((output) => (
                <span key={output.name}>
                  {output.present ? (
                    <PageLink to={objectHref(output.path)}>{output.name}</PageLink>
                  ) : (
                    <span className="quiet">{output.name} (gone)</span>
                  )}{" "}
                </span>
              ))}
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}

/** Builds that had it as a target. */
function Builds({ path }: { path: string }): ReactElement | null {
  const { data } = useJson<BuildsMessage>(apiUrl("/builds", { q: path, limit: 10 }));
  const now = useNow(60_000);
  if (data === undefined || data.builds.length === 0) return null;
  return (
    <Panel title="Asked for in">
      <ul className="plain-list">
        {data.builds.map((build) => (
          <li key={build.id}>
            <StateWord state={build.state} />{" "}
            <PageLink to={`/build/${build.id}/`}>build {shortID(build.id)}</PageLink>{" "}
            <span className="quiet">{ago(build.startedAt, now)}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
}
