/** Finding text in a log: the daemon searches all of it, and counts exactly. */
import { type KeyboardEvent, type ReactElement, useEffect, useRef, useState } from "react";
import { ApiError, apiUrl, getJson } from "../api.ts";
import type { LogSearchMessage } from "../api.ts";
import { number } from "../format.ts";
import type { Marking } from "./log-line.tsx";

export interface LogSearch {
  readonly controls: ReactElement;
  readonly marking: Marking;
  /** The line of the match that is looked at. */
  readonly currentLine: number | undefined;
  readonly ticks: readonly number[] | undefined;
  focus(): void;
  /** To the next match, or the one before. */
  step(by: 1 | -1): void;
}

export function useLogSearch(
  buildID: string,
  drvPath: string,
  showLine: (line: number) => void,
  total: number,
): LogSearch {
  const [text, setText] = useState("");
  const [isPattern, setPattern] = useState(false);
  const [found, setFound] = useState<LogSearchMessage>();
  const [fault, setFault] = useState("");
  /** Number of the match that is looked at, from 0, in the whole log. */
  const [at, setAt] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  const url = (from: number): string =>
    apiUrl(`/builds/${buildID}/log/search`, { drvPath, q: text, pattern: isPattern, from });

  useEffect(() => {
    setFound(undefined);
    setFault("");
    setAt(-1);
    if (text === "") return undefined;
    const show = (result: LogSearchMessage): void => {
      setFound(result);
      const [first] = result.lines;
      if (first === undefined) return;
      setAt(0);
      showLine(first);
    };
    const abort = new AbortController();
    const timer = setTimeout(() => {
      getJson<LogSearchMessage>(url(1), abort.signal).then(show, (error: unknown) => {
        if (abort.signal.aborted) return;
        setFault(error instanceof ApiError ? error.message : "the daemon does not answer");
      });
    }, 150);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
    // More lines do not begin the search anew.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [text, isPattern, buildID, drvPath]);

  const go = async (wanted: number): Promise<void> => {
    if (found === undefined || found.total === 0) return;
    const index = (wanted + found.total) % found.total;
    let window = found;
    const isKnown = index >= window.before && index < window.before + window.lines.length;
    if (!isKnown) {
      // Beyond what was told: on from the last line that is known, or anew from the beginning.
      const last = window.lines.at(-1) ?? 1;
      const from = index >= window.before + window.lines.length ? last : 1;
      window = await getJson<LogSearchMessage>(url(from));
      setFound(window);
    }
    const line = window.lines[index - window.before];
    if (line === undefined) return;
    setAt(index);
    showLine(line);
  };
  const step = (by: 1 | -1): void => void go(at + by);
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    step(event.shiftKey ? -1 : 1);
  };
  const count =
    fault !== ""
      ? fault
      : text === ""
        ? ""
        : found === undefined
          ? "…"
          : found.total === 0
            ? "none"
            : `${number(Math.max(0, at) + 1)} of ${number(found.total)}`;
  const controls = (
    <div className="log-search" role="search" aria-label="In this log">
      <div className="search-field">
        <svg viewBox="0 0 16 16" className="icon" aria-hidden="true">
          <path d="M6.5 2.5a4 4 0 1 0 0 8 4 4 0 0 0 0-8M9.5 9.5 14 14" />
        </svg>
        <input
          ref={input}
          type="search"
          className="log-find"
          aria-label={`Find in ${number(total)} lines`}
          placeholder="Find in the log"
          value={text}
          spellCheck={false}
          autoComplete="off"
          onChange={(event) => setText(event.target.value)}
          onKeyDown={onKeyDown}
        />
        <span className="search-count" role="status">
          {count}
        </span>
        <button
          type="button"
          className="icon-button"
          aria-pressed={isPattern}
          aria-label="Regular expression"
          title="Regular expression"
          onClick={() => setPattern(!isPattern)}
        >
          .*
        </button>
      </div>
      <button
        type="button"
        className="button square"
        aria-label="Previous match"
        disabled={found === undefined || found.total === 0}
        onClick={() => step(-1)}
      >
        ↑
      </button>
      <button
        type="button"
        className="button square"
        aria-label="Next match"
        disabled={found === undefined || found.total === 0}
        onClick={() => step(1)}
      >
        ↓
      </button>
    </div>
  );
  const line = at < 0 ? undefined : found?.lines[at - found.before];
  return {
    controls,
    marking: { text, isPattern },
    currentLine: line,
    ticks: found?.ticks,
    focus: () => input.current?.focus(),
    step,
  };
}
