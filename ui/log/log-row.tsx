import type { ReactElement } from "react";
import { bytes, number } from "../format.ts";
import { LineText } from "./log-line.tsx";
import type { Line } from "./log-source.ts";
import type { LogSearch } from "./use-log-search.tsx";

/** A line of a log with its number, which selects it. */
export function LogRow(props: {
  line: number;
  /** What it says; undefined while it is fetched. */
  found: Line | undefined;
  isSelected: boolean;
  isCause: boolean;
  search: LogSearch;
  rawHref: string;
  onSelect: (extend: boolean) => void;
}): ReactElement {
  const { line, found, isSelected, isCause, search, rawHref, onSelect } = props;
  const classes = [
    "log-row",
    isSelected && "selected",
    isCause && "cause",
    found?.text.startsWith("*** Build failed:") === true && "own",
  ].filter(Boolean);
  return (
    <div className={classes.join(" ")}>
      <a
        className="line-number"
        href={`#L${line}`}
        onClick={(event) => {
          event.preventDefault();
          onSelect(event.shiftKey);
        }}
      >
        {number(line)}
      </a>
      {found !== undefined && (
        <LineText
          text={found.text}
          marking={search.marking}
          isCurrent={line === search.currentLine}
        />
      )}
      {found?.cut === true && (
        <a className="cut" href={rawHref}>
          {`line ${number(line)} goes on: ${bytes(found.length)}`}
        </a>
      )}
    </div>
  );
}

/** Where in the whole log something was found, beside the bar. */
export function Ticks({ ticks }: { ticks: readonly number[] | undefined }): ReactElement | null {
  if (ticks === undefined) return null;
  return (
    <div className="ticks" aria-hidden="true">
      {ticks.map((tick, i) =>
        tick === 1 ? (
          // oxlint-disable-next-line react/no-array-index-key
          <span key={i} style={{ top: `${(i / ticks.length) * 100}%` }} />
        ) : null,
      )}
    </div>
  );
}
