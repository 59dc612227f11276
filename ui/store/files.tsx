/** What lies in an object. Links are shown, not followed; files are text or downloads, never markup. */
import { type ReactElement, useEffect, useState } from "react";
import { apiUrl, useJson } from "../api.ts";
import type { FileEntryMessage, FilesMessage } from "../api.ts";
import { bytes, number } from "../format.ts";
import { textOf } from "../log/sgr.ts";
import { Fault, Loading, Panel } from "../parts/bits.tsx";

/** Files up to this size are shown. */
const mostShown = 1024 * 1024;

export function Files({ path }: { path: string }): ReactElement {
  const [at, setAt] = useState(path);
  const { data, error } = useJson<FilesMessage>(apiUrl("/objects/files", { path: at }));
  const steps = at.slice(path.length).split("/").filter(Boolean);
  const name = path.slice(path.lastIndexOf("/") + 34);
  return (
    <Panel
      title="Files"
      aside={
        <nav aria-label="Folders" className="steps">
          {[name, ...steps].map((step, i) => {
            const target = [path, ...steps.slice(0, i)].join("/");
            return i === steps.length ? (
              <span key={target}>{step}</span>
            ) : (
              <span key={target}>
                <button type="button" className="link" onClick={() => setAt(target)}>
                  {step}
                </button>
                {" / "}
              </span>
            );
          })}
        </nav>
      }
      tools={
        data?.type === "regular" ? (
          <a
            className="button"
            href={apiUrl("/objects/file", { path: at, download: true })}
            download
          >
            Download
          </a>
        ) : undefined
      }
    >
      {error !== undefined && data === undefined && <Fault error={error} />}
      {data === undefined && error === undefined && <Loading />}
      {data !== undefined && data.entries !== null && (
        <Entries
          entries={data.entries}
          more={data.more}
          onOpen={(entry) => setAt(`${at}/${entry}`)}
        />
      )}
      {data?.type === "symlink" && (
        <p className="panel-text">
          A link to <code>{textOf(data.target ?? "")}</code>
        </p>
      )}
      {data?.type === "regular" && <FileText path={at} size={data.size} />}
    </Panel>
  );
}

function Entries(props: {
  entries: readonly FileEntryMessage[];
  more: number;
  onOpen: (name: string) => void;
}): ReactElement {
  const { entries, more, onOpen } = props;
  if (entries.length === 0) return <p className="panel-text quiet">An empty folder.</p>;
  return (
    <>
      <table className="list">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">What</th>
            <th scope="col" className="right">
              Size
            </th>
          </tr>
        </thead>
        <tbody>
          {entries.map(({ name, type, size, executable, target }) => (
            <tr key={name}>
              <td>
                {type === "symlink" ? (
                  <span>{textOf(name)}</span>
                ) : (
                  <button type="button" className="link" data-entry="" onClick={() => onOpen(name)}>
                    {textOf(name)}
                    {type === "directory" ? "/" : ""}
                  </button>
                )}
              </td>
              <td className="quiet">
                {type === "directory"
                  ? "folder"
                  : type === "symlink"
                    ? `link to ${textOf(target ?? "")}`
                    : executable
                      ? "program"
                      : "file"}
              </td>
              <td className="right">{type === "regular" ? bytes(size) : ""}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {more > 0 && <p className="panel-text quiet">and {number(more)} more</p>}
    </>
  );
}

function FileText({ path, size }: { path: string; size: number }): ReactElement {
  const [text, setText] = useState<string>();
  const [fault, setFault] = useState("");
  useEffect(() => {
    setText(undefined);
    if (size > mostShown) return undefined;
    const abort = new AbortController();
    const load = async (): Promise<void> => {
      try {
        const response = await fetch(apiUrl("/objects/file", { path }), { signal: abort.signal });
        const bytesOf = new Uint8Array(await response.arrayBuffer());
        if (bytesOf.includes(0)) setFault("This is no text.");
        else setText(new TextDecoder().decode(bytesOf));
      } catch {
        if (!abort.signal.aborted) setFault("The daemon does not answer.");
      }
    };
    void load();
    return () => abort.abort();
  }, [path, size]);
  if (size > mostShown) {
    return <p className="panel-text quiet">{bytes(size)}: too large to be shown here.</p>;
  }
  if (fault !== "") return <p className="panel-text quiet">{fault}</p>;
  if (text === undefined) return <Loading />;
  if (text === "") return <p className="panel-text quiet">The file is empty.</p>;
  return (
    <pre className="file-text" tabIndex={0}>
      {text.split("\n").map(textOf).join("\n")}
    </pre>
  );
}
