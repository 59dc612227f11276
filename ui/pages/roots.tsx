/** What collections keep, and what they would remove. */
import type { ReactElement } from "react";
import { apiUrl, useJson } from "../api.ts";
import type { DiskMessage, RootsMessage } from "../api.ts";
import { ago, bytes, plural } from "../format.ts";
import { useNow, useTitle } from "../hooks.ts";
import { Fault, Figure, Panel } from "../parts/bits.tsx";
import { Collection } from "../store/collection.tsx";
import { Roots } from "../store/roots.tsx";

export function RootsPage(): ReactElement {
  useTitle("Roots");
  const disk = useJson<DiskMessage>(apiUrl("/disk"));
  const roots = useJson<RootsMessage>(apiUrl("/roots"));
  const now = useNow(60_000);
  const { data } = disk;
  const last = data?.lastCollection ?? null;
  return (
    <>
      <div className="title-row">
        <h1>Roots</h1>
        <p className="quiet">what collections keep, with all it refers to</p>
      </div>
      {disk.error !== undefined && data === undefined && <Fault error={disk.error} />}
      {data !== undefined && (
        <dl className="figures">
          <Figure
            label="Held by roots"
            value={bytes(data.heldByRoots)}
            note={`of ${bytes(data.narSize)} in the store`}
          />
          <Figure
            label="Could be collected now"
            value={bytes(data.collectableSize)}
            note={plural(data.collectableObjects, "object")}
          />
          <Figure
            label="Last collection"
            value={last === null ? "none yet" : bytes(last.size)}
            note={
              last === null
                ? "since the daemon began: kiln gc"
                : `${plural(last.count, "object")}, ${ago(last.endedAt, now)}`
            }
          />
        </dl>
      )}
      <Panel title="Garbage-collection roots" aside={roots.data?.roots.length}>
        <Roots
          asked={roots}
          now={now}
          collectable={data?.collectableObjects}
          onChanged={disk.again}
        />
      </Panel>
      <Collection
        key={roots.data?.roots.length}
        onCollected={() => {
          disk.again();
          roots.again();
        }}
      />
    </>
  );
}
