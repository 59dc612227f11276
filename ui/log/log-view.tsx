/** A log of any length: what is looked at is drawn, what is searched is searched by the daemon. */
import {
  type KeyboardEvent,
  type ReactElement,
  useCallback,
  useEffect,
  useLayoutEffect,
  useMemo,
  useReducer,
  useRef,
  useState,
} from "react";
import { apiUrl } from "../api.ts";
import type { LogGrownMessage, LogInfoMessage } from "../api.ts";
import { bytes, plural } from "../format.ts";
import { useKeys } from "../keys.ts";
import { useEvents } from "../live.ts";
import { rawLogHref } from "../parts/bits.tsx";
import { LogRow, Ticks } from "./log-row.tsx";
import { LogSource } from "./log-source.ts";
import { isScaled, maxTop, rowHeight, scrollHeight, scrollTopOf, topOf } from "./scroll.ts";
import { useLogSearch } from "./use-log-search.tsx";

/** Lines named in the address: `#L120`, `#L120-L140`. */
export function linesInHash(hash: string): readonly [number, number] | undefined {
  const match = /^#L(\d{1,12})(?:-L(\d{1,12}))?$/.exec(hash);
  if (match === null) return undefined;
  const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])];
  return first <= last ? [first, last] : [last, first];
}

export function LogView(props: {
  buildID: string;
  drvPath: string;
  name: string;
  info: LogInfoMessage;
  /** Said in place of lines when there are none. */
  emptyText: string;
  /** The line that likely says why it failed. */
  causeLine: number | undefined;
  onFinished: () => void;
}): ReactElement {
  const { buildID, drvPath, name, info, causeLine, onFinished } = props;
  const [, redraw] = useReducer((count: number) => count + 1, 0);
  const source = useMemo(
    () => new LogSource({ buildID, drvPath }, info, redraw),
    // What is known at first is only for the beginning.
    // oxlint-disable-next-line react/exhaustive-deps
    [buildID, drvPath],
  );
  const [selected, setSelected] = useState(() => linesInHash(location.hash));
  const [isFollowing, setFollowing] = useState(!info.finished && selected === undefined);
  const [isFinished, setFinished] = useState(info.finished);
  const [isWrapped, setWrapped] = useState(() => localStorage.getItem("kiln-wrap") !== "no");
  const [paused, setPaused] = useState(0);
  const scroller = useRef<HTMLDivElement>(null);
  const [viewport, setViewport] = useState(600);
  const [top, setTop] = useState(0);
  const expected = useRef(-1);
  const extent = { lines: source.total, viewport };

  const goTo = useCallback(
    (line: number) => {
      const now = { lines: source.total, viewport };
      const wanted = Math.min(maxTop(now), Math.max(0, line));
      setTop(wanted);
      if (scroller.current === null) return;
      scroller.current.scrollTop = scrollTopOf(wanted, now);
      // It may not have gone as far.
      expected.current = scroller.current.scrollTop;
    },
    [source, viewport],
  );
  const showLine = useCallback(
    (line: number) => {
      setFollowing(false);
      goTo(line - 1 - viewport / rowHeight / 3);
    },
    [goTo, viewport],
  );

  // Measured before anything is seen or scrolled: a wrong height would put the end elsewhere, and end the following.
  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null) return undefined;
    const measure = (): void => setViewport(element.clientHeight);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  // The bar is put where the lines are whenever there are more of them, or less room.
  useLayoutEffect(() => {
    if (isFollowing) goTo(Infinity);
    else goTo(top);
    // Not when it is scrolled: that moves the bar itself.
    // oxlint-disable-next-line react/exhaustive-deps
  }, [source.total, viewport, isFollowing]);

  useEffect(() => {
    if (selected !== undefined) showLine(selected[0]);
    else if (info.cause !== null) goTo(Infinity);
    // Once, when it is shown.
    // oxlint-disable-next-line react/exhaustive-deps
  }, []);

  useEffect(() => {
    const update = (): void => {
      const lines = linesInHash(location.hash);
      setSelected(lines);
      if (lines !== undefined) showLine(lines[0]);
    };
    window.addEventListener("hashchange", update);
    return () => window.removeEventListener("hashchange", update);
  }, [showLine]);

  useEvents(
    isFinished ? null : apiUrl(`/builds/${buildID}/log/events`, { drvPath, from: info.size }),
    {
      grown: (message: LogGrownMessage) => {
        const before = source.total;
        source.grown(message);
        if (!isFollowing) setPaused((count) => count + source.total - before);
        if (!message.finished) return;
        setFinished(true);
        onFinished();
      },
    },
  );

  const search = useLogSearch(buildID, drvPath, showLine, source.total);
  const isAtEnd = top >= maxTop(extent) - 0.5;

  const onScroll = (): void => {
    const element = scroller.current;
    if (element === null) return;
    const { scrollTop } = element;
    if (Math.abs(scrollTop - expected.current) < 1) return;
    expected.current = -1;
    const next = topOf(scrollTop, extent);
    setTop(next);
    follow(next);
  };
  const follow = (next: number): void => {
    if (isFinished) return;
    const wants = next >= maxTop(extent) - 0.5;
    if (wants && !isFollowing) setPaused(0);
    setFollowing(wants);
  };
  const moveBy = (lines: number): void => {
    const next = Math.min(maxTop(extent), Math.max(0, top + lines));
    goTo(next);
    follow(next);
  };

  useEffect(() => {
    const element = scroller.current;
    if (element === null || !isScaled(extent)) return undefined;
    // A pixel of the bar is many lines here: the wheel goes by lines.
    const onWheel = (event: WheelEvent): void => {
      if (event.ctrlKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) return;
      event.preventDefault();
      moveBy(event.deltaMode === 1 ? event.deltaY : event.deltaY / rowHeight);
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    return () => element.removeEventListener("wheel", onWheel);
  });

  const page = Math.max(1, Math.floor(viewport / rowHeight) - 2);
  const onKeyDown = (event: KeyboardEvent): void => {
    const steps: Record<string, () => void> = {
      ArrowDown: () => moveBy(1),
      ArrowUp: () => moveBy(-1),
      PageDown: () => moveBy(page),
      PageUp: () => moveBy(-page),
      " ": () => moveBy(event.shiftKey ? -page : page),
      Home: () => moveBy(-Infinity),
      End: () => moveBy(Infinity),
    };
    const step = steps[event.key];
    if (step === undefined || event.target !== scroller.current) return;
    event.preventDefault();
    step();
  };
  const wrap = (): void => {
    localStorage.setItem("kiln-wrap", isWrapped ? "no" : "yes");
    setWrapped(!isWrapped);
  };
  useKeys({
    "/": () => search.focus(),
    n: () => search.step(1),
    N: () => search.step(-1),
    f: () => !isFinished && setFollowing(true),
    w: wrap,
    G: () => moveBy(Infinity),
    "g g": () => moveBy(-Infinity),
    e: () => causeLine !== undefined && showLine(causeLine),
    y: () => void navigator.clipboard?.writeText(location.href),
  });

  const count = Math.ceil(viewport / rowHeight) + 2;
  const first = isAtEnd && maxTop(extent) > 0 ? Math.max(0, source.total - count) : Math.floor(top);
  const rows = Array.from(
    { length: Math.min(count, Math.max(0, source.total - first)) },
    (_, i) => first + i + 1,
  );
  const select = (line: number, extend: boolean): void => {
    const from = extend && selected !== undefined ? selected[0] : line;
    const hash = from === line ? `#L${line}` : `#L${Math.min(from, line)}-L${Math.max(from, line)}`;
    history.replaceState(history.state, "", hash);
    setSelected(linesInHash(hash));
  };

  return (
    <section className="panel log" aria-label="Log">
      <div className="log-tools">
        {search.controls}
        <div className="tools">
          <button type="button" className="button" aria-pressed={isWrapped} onClick={wrap}>
            Wrap
          </button>
          {!isFinished && (
            <button
              type="button"
              className="button"
              aria-pressed={isFollowing}
              onClick={() => setFollowing(!isFollowing)}
            >
              Follow
            </button>
          )}
          <a className="button" href={rawLogHref(buildID, drvPath)}>
            Raw
          </a>
        </div>
      </div>
      <div className="log-body">
        <div
          ref={scroller}
          className="log-scroller"
          tabIndex={0}
          role="region"
          aria-label={`Log of ${name}`}
          onScroll={onScroll}
          onKeyDown={onKeyDown}
        >
          <div className="log-all" style={{ height: scrollHeight(extent) }}>
            <div
              className={`log-window${isWrapped ? " wrapped" : ""}${isAtEnd && maxTop(extent) > 0 ? " at-end" : ""}`}
              style={{ height: viewport }}
            >
              {source.total === 0 && <p className="log-empty">{props.emptyText}</p>}
              <div
                className="log-rows"
                style={
                  isAtEnd
                    ? {}
                    : { transform: `translateY(${-(top - Math.floor(top)) * rowHeight}px)` }
                }
              >
                {rows.map((line) => (
                  <LogRow
                    key={line}
                    line={line}
                    found={source.line(line)}
                    isSelected={
                      selected !== undefined && line >= selected[0] && line <= selected[1]
                    }
                    isCause={line === causeLine}
                    search={search}
                    rawHref={rawLogHref(buildID, drvPath)}
                    onSelect={(extend) => select(line, extend)}
                  />
                ))}
              </div>
            </div>
          </div>
        </div>
        <Ticks ticks={search.ticks} />
        {!isFollowing && !isFinished && (
          <button type="button" className="button paused" onClick={() => setFollowing(true)}>
            Paused{paused > 0 ? `, ${plural(paused, "new line")}` : ""}
          </button>
        )}
      </div>
      <footer className="log-foot">
        <span>
          {plural(source.total, "line")} · {bytes(source.size)}
        </span>
        <span className="quiet">{isFinished ? "" : "still being written"}</span>
        <span className="key-hints" aria-hidden="true">
          <kbd>n</kbd> next <kbd>N</kbd> previous <kbd>e</kbd> likely cause <kbd>G</kbd> end{" "}
          <kbd>?</kbd> all keys
        </span>
      </footer>
    </section>
  );
}
