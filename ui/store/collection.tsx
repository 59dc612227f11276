/** A collection of garbage: what would go is seen first. Going is an administrator's to decide. */
import { type ReactElement, useState } from "react";
import { apiUrl, postJson, useAdministrator, useJson } from "../api.ts";
import type { CollectedMessage } from "../api.ts";
import { bytes, number, plural } from "../format.ts";
import { Fault, Loading, objectHref, PageLink, Panel } from "../parts/bits.tsx";

export function Collection({ onCollected }: { onCollected: () => void }): ReactElement {
  const asked = useJson<CollectedMessage>(apiUrl("/collection"));
  const isAdministrator = useAdministrator();
  const [outcome, setOutcome] = useState("");
  const [isAsked, setAsked] = useState(false);
  const { data, error } = asked;
  const collect = async (): Promise<void> => {
    setAsked(false);
    setOutcome("Collecting");
    try {
      const done = await postJson<CollectedMessage>(apiUrl("/collection"));
      setOutcome(`${plural(done.count, "object")} removed, ${bytes(done.size)}`);
      asked.again();
      onCollected();
    } catch (failure) {
      setOutcome(failure instanceof Error ? failure.message : "nothing was removed");
    }
  };
  return (
    <Panel
      title="A collection now"
      aside={
        data === undefined
          ? undefined
          : `would remove ${plural(data.count, "object")}, ${bytes(data.size)}`
      }
      tools={
        isAdministrator && data !== undefined && data.count > 0 ? (
          <>
            {isAsked && (
              <button type="button" className="button" onClick={() => setAsked(false)}>
                Keep all
              </button>
            )}
            <button
              type="button"
              className="button danger"
              onClick={() => (isAsked ? void collect() : setAsked(true))}
            >
              {isAsked ? `Delete ${plural(data.count, "object")} for good` : "Collect"}
            </button>
          </>
        ) : undefined
      }
    >
      <p role="status" className={outcome === "" ? "" : "panel-text"}>
        {outcome}
      </p>
      {error !== undefined && <Fault error={error} />}
      {data === undefined && error === undefined && <Loading />}
      {data !== undefined && (
        <>
          <p className="panel-text quiet">
            {data.count === 0 ? "Nothing would go. " : "The least recently used first. "}
            {data.recent > 0 &&
              `${plural(data.recent, "object")} that no root needs would stay: used in the last ten minutes.`}
          </p>
          <ul className="plain-list">
            {data.objects.slice(0, 30).map(({ path, name, narSize }) => (
              <li key={path}>
                <PageLink to={objectHref(path)}>{name}</PageLink>{" "}
                <span className="quiet">{bytes(narSize)}</span>
              </li>
            ))}
          </ul>
          {data.count > 30 && (
            <p className="panel-text quiet">and {number(data.count - 30)} more</p>
          )}
        </>
      )}
    </Panel>
  );
}
