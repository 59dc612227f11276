import { type ReactElement, useEffect, useRef, useState } from "react";
import { areKeysOff, setKeysOff } from "../keys.ts";

const keys = [
  ["/", "find"],
  ["g b, g s, g r, g h", "builds, store, roots, health"],
  ["j, k, Enter", "next and previous entry of a list, open it"],
  ["[, ]", "previous and next result"],
  ["l, t, v", "log, timeline, graph"],
  ["0", "fit the graph"],
  ["w, s, a, d", "zoom and pan the timeline"],
  ["f", "follow the log"],
  ["n, N", "next and previous match"],
  ["e", "likely cause"],
  ["gg, G", "beginning and end of the log"],
  ["w", "wrap lines of the log"],
  ["c", "copy the path"],
  ["y", "copy a link to the line"],
  ["?", "this list"],
  ["Esc", "leave what is typed, close this list"],
] as const;

export function KeyHelp({ onClose }: { onClose: () => void }): ReactElement {
  const dialog = useRef<HTMLDialogElement>(null);
  const [isOff, setOff] = useState(areKeysOff);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="keys-title">
      <h2 id="keys-title">Keys</h2>
      <table className="keys">
        <tbody>
          {keys.map(([key, what]) => (
            <tr key={key}>
              <th scope="row">
                <kbd>{key}</kbd>
              </th>
              <td>{what}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <label className="check">
        <input
          type="checkbox"
          checked={!isOff}
          onChange={(event) => {
            setOff(!event.target.checked);
            setKeysOff(!event.target.checked);
          }}
        />
        Single keys do something
      </label>
      <form method="dialog">
        <button type="submit" className="button">
          Close
        </button>
      </form>
    </dialog>
  );
}
