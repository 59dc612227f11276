/** What the store takes of the disk, who holds it, and what is in it. */
import { type FormEvent, type ReactElement, useState } from "react";
import { useLocation, useSearch } from "wouter";
import { apiUrl, useJson } from "../api.ts";
import type { DiskMessage, ObjectsMessage, RootsMessage } from "../api.ts";
import { ago, bytes, number, plural } from "../format.ts";
import { useNow, useTitle } from "../hooks.ts";
import { Fault, Figure, Loading, objectHref, PageLink, Panel, Segments } from "../parts/bits.tsx";
import { Collection } from "../store/collection.tsx";
import { Roots } from "../store/roots.tsx";

type View = "roots" | "objects" | "names";

export function StorePage(): ReactElement {
  useTitle("Store");
  const [disk, roots] = [
    useJson<DiskMessage>(apiUrl("/disk")),
    useJson<RootsMessage>(apiUrl("/roots")),
  ];
  const [view, setView] = useState<View>("roots");
  const [isPreviewed, setPreviewed] = useState(false);
  const now = useNow(60_000);
  const { data } = disk;
  return (
    <>
      <div className="title-row">
        <h1>Store</h1>
        {data !== undefined && <code className="quiet">{data.storeDirectory}</code>}
        <div className="tools">
          <button
            type="button"
            className="button"
            aria-expanded={isPreviewed}
            onClick={() => setPreviewed(!isPreviewed)}
          >
            Preview collection
          </button>
        </div>
      </div>
      {disk.error !== undefined && data === undefined && <Fault error={disk.error} />}
      {data !== undefined && <Usage disk={data} roots={roots.data?.roots.length} now={now} />}
      {isPreviewed && (
        <Collection
          onCollected={() => {
            disk.again();
            roots.again();
          }}
        />
      )}
      <div className="two even">
        <Panel
          title="Who uses the disk"
          tools={
            <Segments
              label="By what"
              value={view}
              options={[
                ["roots", "Roots"],
                ["objects", "Objects"],
                ["names", "Names"],
              ]}
              onChange={setView}
            />
          }
        >
          {view === "roots" && (
            <Roots
              asked={roots}
              now={now}
              collectable={data?.collectableObjects}
              onChanged={disk.again}
            />
          )}
          {view === "objects" && data !== undefined && <LargestObjects disk={data} now={now} />}
          {view === "names" && data !== undefined && <LargestNames disk={data} />}
        </Panel>
        <Objects now={now} />
      </div>
    </>
  );
}

function Usage(props: { disk: DiskMessage; roots: number | undefined; now: number }): ReactElement {
  const { disk, roots, now } = props;
  const verified = disk.lastVerification;
  const { narSize, objects, heldByRoots, collectableSize, collectableObjects, free } = disk;
  const other = Math.max(0, narSize - heldByRoots - collectableSize);
  const parts = [
    ["Held by roots", heldByRoots, "f-link"],
    ["Used lately, or by running builds", other, "f-running"],
    ["Collectable", collectableSize, "f-collectable"],
    ["Free", free, "f-rest"],
  ] as const;
  const all = Math.max(1, narSize + free);
  return (
    <>
      <dl className="figures">
        <Figure label="Used" value={bytes(narSize)} note={plural(objects, "store object")} />
        <Figure
          label="Held by roots"
          value={bytes(heldByRoots)}
          note={roots === undefined ? undefined : plural(roots, "root")}
        />
        <Figure
          label="Could be collected now"
          value={bytes(collectableSize)}
          note={`${plural(collectableObjects, "object")} nothing holds`}
        />
        <Figure label="Free on disk" value={bytes(free)} note={`of ${bytes(disk.total)}`} />
        <Figure
          label="Verified"
          value={
            verified === null
              ? "not yet"
              : verified.damaged === 0
                ? "good"
                : `${number(verified.damaged)} damaged`
          }
          note={
            verified === null
              ? "since the daemon began: kiln store verify"
              : `${plural(verified.checked, "object")}, ${ago(verified.endedAt, now)}`
          }
        />
      </dl>
      <div className="bar thick" aria-hidden="true">
        {parts.map(([name, size, className]) => (
          <span key={name} className={`fill ${className}`} style={{ flexGrow: size / all }} />
        ))}
      </div>
      <ul className="bar-legend">
        {parts.map(([name, size, className]) => (
          <li key={name}>
            <span className={`swatch ${className}`} aria-hidden="true" />
            {name} {bytes(size)}
          </li>
        ))}
      </ul>
    </>
  );
}

function LargestObjects({ disk, now }: { disk: DiskMessage; now: number }): ReactElement {
  return (
    <table className="list">
      <thead>
        <tr>
          <th scope="col">Object</th>
          <th scope="col" className="right">
            Size
          </th>
          <th scope="col" className="right wide">
            Added
          </th>
        </tr>
      </thead>
      <tbody>
        {disk.largestObjects.map(({ path, name, narSize, registeredAt }) => (
          <tr key={path}>
            <td>
              <PageLink to={objectHref(path)} entry>
                {name}
              </PageLink>
            </td>
            <td className="right">{bytes(narSize)}</td>
            <td className="right wide quiet">{ago(registeredAt, now)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function LargestNames({ disk }: { disk: DiskMessage }): ReactElement {
  return (
    <table className="list">
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col" className="right">
            Objects
          </th>
          <th scope="col" className="right">
            Size
          </th>
        </tr>
      </thead>
      <tbody>
        {disk.largestNames.map(({ name, count, narSize }) => (
          <tr key={name}>
            <td>
              <PageLink to={`/store/?q=${encodeURIComponent(`-${name}`)}`} entry>
                {name}
              </PageLink>
            </td>
            <td className="right">{number(count)}</td>
            <td className="right">{bytes(narSize)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const pageSize = 15;

/** All objects, to be searched. */
function Objects({ now }: { now: number }): ReactElement {
  const q = new URLSearchParams(useSearch()).get("q") ?? "";
  const [, navigate] = useLocation();
  const [sort, setSort] = useState<"time" | "size" | "path">("time");
  const [limit, setLimit] = useState(pageSize);
  const { data, error } = useJson<ObjectsMessage>(apiUrl("/objects", { q, sort, limit }));
  const submit = (event: FormEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const text = new FormData(event.currentTarget).get("q");
    const wanted = typeof text === "string" ? text.trim() : "";
    navigate(wanted === "" ? "/store/" : `/store/?q=${encodeURIComponent(wanted)}`);
  };
  return (
    <Panel
      title="Objects"
      aside={data === undefined ? undefined : number(data.total)}
      tools={
        <Segments
          label="Order"
          value={sort}
          options={[
            ["time", "New"],
            ["size", "Large"],
            ["path", "Path"],
          ]}
          onChange={setSort}
        />
      }
    >
      <form className="panel-find" onSubmit={submit} role="search" aria-label="Objects">
        <input
          key={q}
          name="q"
          type="search"
          className="input"
          defaultValue={q}
          aria-label="Part of a store path"
          placeholder="Part of a store path"
          spellCheck={false}
          autoComplete="off"
        />
        <button type="submit" className="button">
          Find
        </button>
      </form>
      {error !== undefined && data === undefined && <Fault error={error} />}
      {data === undefined && error === undefined && <Loading lines={6} />}
      {data?.objects.length === 0 && (
        <p className="panel-text quiet">
          {q === ""
            ? "The store is empty. A build or kiln store object import puts objects here."
            : "No object has that in its path."}
        </p>
      )}
      {data !== undefined && data.objects.length > 0 && (
        <table className="list">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col" className="right">
                Size
              </th>
              <th scope="col" className="right">
                Added
              </th>
            </tr>
          </thead>
          <tbody>
            {data.objects.map(({ path, name, narSize, registeredAt }) => (
              <tr key={path}>
                <td>
                  <PageLink to={objectHref(path)} entry>
                    {name}
                  </PageLink>
                  <span className="sub">
                    <code>{path.slice(0, path.length - name.length - 1).slice(-32)}</code>
                  </span>
                </td>
                <td className="right">{bytes(narSize)}</td>
                <td className="right quiet">{ago(registeredAt, now)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {data !== undefined &&
        data.total > data.objects.length &&
        data.objects.length >= limit &&
        limit < 1000 && (
          <p className="panel-foot">
            <button
              type="button"
              className="button"
              onClick={() => setLimit(Math.min(1000, limit * 4))}
            >
              Show more
            </button>
          </p>
        )}
    </Panel>
  );
}
