/** One store object: what it is, what it needs, what needs it, and what is in it. */
import { type ReactElement, useEffect, useState } from "react";
import { useLocation } from "wouter";
import { ApiError, apiUrl, postJson, useAdministrator, useJson } from "../api.ts";
import type { ObjectMessage, RelatedObjectsMessage, RootsMessage } from "../api.ts";
import { ago, bytes, nameOfPath, plural, shortID } from "../format.ts";
import { useNow, useTitle } from "../hooks.ts";
import { useKeys } from "../keys.ts";
import { Files } from "../store/files.tsx";
import { ReferenceGraph } from "../store/reference-graph.tsx";
import {
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
import { NotFoundPage } from "./not-found.tsx";

type Tab = "files" | "references" | "referrers" | "graph";

export function ObjectPage({ path }: { path: string }): ReactElement {
  const { data, error } = useJson<ObjectMessage>(apiUrl("/objects/info", { path }));
  if (error instanceof ApiError && (error.status === 404 || error.status === 400)) {
    return <NotFoundPage text={`${path === "" ? "No path" : path} is not in the store.`} />;
  }
  if (data === undefined)
    return error === undefined ? <Loading lines={8} /> : <Fault error={error} />;
  return <StoreObject object={data} />;
}

function StoreObject({ object }: { object: ObjectMessage }): ReactElement {
  const { path, name } = object;
  useTitle(name);
  const [tab, setTab] = useState<Tab>("files");
  const now = useNow(60_000);
  const roots = useJson<RootsMessage>(apiUrl("/roots")).data?.roots ?? [];
  const holders = roots.filter((root) => root.path === path);
  useKeys({ c: () => void navigator.clipboard?.writeText(path), v: () => setTab("graph") });
  const [maker] = object.madeBy;
  return (
    <>
      <Crumbs>
        <PageLink to="/store/">Store</PageLink> / <span>{name}</span>
      </Crumbs>
      <div className="title-row">
        <h1>{name}</h1>
        <div className="tools">
          {object.isDerivation && (
            <PageLink to={derivationHref(path)} className="button">
              Derivation
            </PageLink>
          )}
          <a className="button" href={apiUrl("/objects/nar", { path })} download>
            NAR
          </a>
          <a className="button" href={apiUrl("/objects/tar", { path })} download>
            tar
          </a>
          <Delete object={object} />
        </div>
      </div>
      <Panel title="Object">
        <dl className="facts">
          <dt>Store path</dt>
          <dd>
            <PathText path={path} />
          </dd>
          <dt>Size</dt>
          <dd>
            {bytes(object.narSize)} as NAR, closure {bytes(object.closureSize)} in{" "}
            {plural(object.closureCount, "object")}
          </dd>
          <dt>NAR hash</dt>
          <dd>
            <code>{object.narHash}</code>
          </dd>
          <dt>Content address</dt>
          <dd>
            <code>{object.ca ?? "none"}</code>
          </dd>
          <dt>Added</dt>
          <dd>{ago(object.registeredAt, now)}</dd>
          {maker !== undefined && (
            <>
              <dt>Made by</dt>
              <dd>
                <PageLink to={derivationHref(maker.drvPath)}>{maker.name}.drv</PageLink>,{" "}
                {maker.output}, in{" "}
                <PageLink to={resultHref(maker.buildID, maker.drvPath)}>
                  build {shortID(maker.buildID)}
                </PageLink>
              </dd>
            </>
          )}
          <dt>Held by</dt>
          <dd>
            {holders.length > 0
              ? holders
                  .map((root) => `${root.name}${root.user === null ? "" : ` of ${root.user}`}`)
                  .join(", ")
              : "no root of its own"}
          </dd>
        </dl>
      </Panel>
      <Segments
        label="What to show"
        value={tab}
        options={[
          ["files", "Files"],
          ["references", `References ${object.references}`],
          ["referrers", `Referrers ${object.referrers}`],
          ["graph", "Graph"],
        ]}
        onChange={setTab}
      />
      {tab === "files" && <Files path={path} />}
      {tab === "references" && <Related path={path} of="references" />}
      {tab === "referrers" && <Related path={path} of="referrers" />}
      {tab === "graph" && <ReferenceGraph path={path} />}
    </>
  );
}

function Related({ path, of }: { path: string; of: "references" | "referrers" }): ReactElement {
  const { data, error } = useJson<RelatedObjectsMessage>(apiUrl(`/objects/${of}`, { path }));
  const most = Math.max(1, ...(data?.objects.map(({ closureSize }) => closureSize) ?? []));
  return (
    <Panel
      title={of === "references" ? "What it refers to" : "What refers to it"}
      aside={data?.total}
    >
      {error !== undefined && data === undefined && <Fault error={error} />}
      {data === undefined && error === undefined && <Loading />}
      {data?.total === 0 && (
        <p className="panel-text quiet">
          {of === "references" ? "It needs nothing." : "Nothing needs it."}
        </p>
      )}
      <ul className="related">
        {data?.objects.map((other) => (
          <li key={other.path}>
            <span className="small-bar" aria-hidden="true">
              <span className="f-link" style={{ width: `${(other.closureSize / most) * 100}%` }} />
            </span>
            {other.isItself ? (
              <span>{other.name}</span>
            ) : (
              <PageLink to={objectHref(other.path)} entry>
                {other.name}
              </PageLink>
            )}
            <span className="quiet">
              {other.isItself ? "itself" : `${bytes(other.closureSize)} closure`}
            </span>
          </li>
        ))}
      </ul>
      {data !== undefined && data.total > data.objects.length && (
        <p className="panel-text quiet">and {data.total - data.objects.length} more</p>
      )}
    </Panel>
  );
}

/** For administrators: in two steps. */
function Delete({ object }: { object: ObjectMessage }): ReactElement | null {
  const isAdministrator = useAdministrator();
  const [isAsked, setAsked] = useState(false);
  const [fault, setFault] = useState("");
  const [, navigate] = useLocation();
  useEffect(() => setFault(""), [isAsked]);
  if (!isAdministrator) return null;
  const remove = async (): Promise<void> => {
    try {
      await postJson(apiUrl("/objects/delete"), { paths: [object.path], recursive: false });
      navigate("/store/");
    } catch (error) {
      setFault(error instanceof Error ? error.message : "not deleted");
    }
  };
  return (
    <>
      {isAsked && (
        <button type="button" className="button" onClick={() => setAsked(false)}>
          Keep
        </button>
      )}
      <button
        type="button"
        className="button danger"
        onClick={() => (isAsked ? void remove() : setAsked(true))}
      >
        {isAsked ? `Delete ${nameOfPath(object.path)} for good` : "Delete"}
      </button>
      <span role="alert">{fault}</span>
    </>
  );
}
