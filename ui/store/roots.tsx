/** What collections keep, and what each root alone holds. */
import { type ReactElement, useState } from "react";
import { apiUrl, postJson, useAdministrator } from "../api.ts";
import type { Asked, RootMessage, RootsMessage } from "../api.ts";
import { ago, bytes, number } from "../format.ts";
import { Fault, Loading, objectHref, PageLink } from "../parts/bits.tsx";

export function Roots(props: {
  asked: Asked<RootsMessage>;
  now: number;
  /** Objects that a collection would remove now. */
  collectable: number | undefined;
  /** Called after a root was removed. */
  onChanged: () => void;
}): ReactElement {
  const { asked, now, collectable, onChanged } = props;
  const isAdministrator = useAdministrator();
  if (asked.data === undefined) {
    return asked.error === undefined ? <Loading lines={5} /> : <Fault error={asked.error} />;
  }
  const { roots } = asked.data;
  if (roots.length === 0) {
    return (
      <p className="panel-text quiet">
        Nothing is held: a collection would delete{" "}
        {collectable === undefined ? "all" : number(collectable)} objects and, when they have rested
        for a while, the rest. <code>kiln build -o result</code> makes a root.
      </p>
    );
  }
  return (
    <>
      <table className="list">
        <thead>
          <tr>
            <th scope="col">Garbage-collection root</th>
            <th scope="col" className="right">
              Closure
            </th>
            <th scope="col" className="right">
              Only here
            </th>
            <th scope="col" className="right wide">
              Made
            </th>
            {isAdministrator && (
              <th scope="col">
                <span className="visually-hidden">Remove</span>
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {roots.map((root) => (
            <tr key={root.name}>
              <td>
                <PageLink to={objectHref(root.path)} entry>
                  {root.kind === "link"
                    ? root.name.slice(root.name.lastIndexOf("/") + 1)
                    : root.name}
                </PageLink>
                <span className="sub">
                  {root.kind === "link" ? `result link ${root.name}` : "named root"}
                  {root.user === null ? "" : ` of ${root.user}`}
                </span>
              </td>
              <td className="right">{bytes(root.closureSize)}</td>
              <td className="right">
                <b>{bytes(root.onlyHere)}</b>
              </td>
              <td className="right wide quiet">{ago(root.createdAt, now)}</td>
              {isAdministrator && (
                <td className="right">
                  <Remove
                    root={root}
                    onRemoved={() => {
                      asked.again();
                      onChanged();
                    }}
                  />
                </td>
              )}
            </tr>
          ))}
        </tbody>
      </table>
      <p className="panel-note">
        Only here: what a collection would free if this root went away. Closures overlap, so their
        sum is larger than the store.
      </p>
    </>
  );
}

/** In two steps: what only this root holds may go with the next collection. */
function Remove({ root, onRemoved }: { root: RootMessage; onRemoved: () => void }): ReactElement {
  const [isAsked, setAsked] = useState(false);
  const [fault, setFault] = useState("");
  const remove = async (): Promise<void> => {
    try {
      await postJson(apiUrl("/roots/remove"), { name: root.name });
      onRemoved();
    } catch (error) {
      setFault(error instanceof Error ? error.message : "not removed");
    }
  };
  return (
    <>
      <button
        type="button"
        className="button danger"
        aria-label={`${isAsked ? "Really remove" : "Remove"} the root ${root.name}`}
        onClick={() => (isAsked ? void remove() : setAsked(true))}
        onBlur={() => setAsked(false)}
      >
        {isAsked ? "Really?" : "Remove"}
      </button>
      <span role="alert">{fault}</span>
    </>
  );
}
