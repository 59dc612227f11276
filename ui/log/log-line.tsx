/** One line of a log. */
import { memo, type ReactElement, type ReactNode } from "react";
import { piecesOf } from "./sgr.ts";

/** What is found in a line, in the text that is shown. */
export interface Marking {
  /** Lower case unless capital letters matter; empty: nothing is marked. */
  readonly text: string;
  readonly isPattern: boolean;
}

function rangesOf(text: string, { text: wanted, isPattern }: Marking): [number, number][] {
  if (wanted === "") return [];
  if (isPattern) {
    try {
      const matches = text.matchAll(new RegExp(wanted, "giu"));
      return Array.from(matches, (match): [number, number] => [
        match.index,
        match.index + match[0].length,
      ]).filter(([from, to]) => to > from);
    } catch {
      return [];
    }
  }
  const ranges: [number, number][] = [];
  const searched = text.toLowerCase();
  const lower = wanted.toLowerCase();
  for (
    let at = searched.indexOf(lower);
    at !== -1;
    at = searched.indexOf(lower, at + lower.length)
  ) {
    ranges.push([at, at + lower.length]);
  }
  return ranges;
}

/** The text of a line with its colours, and with what was found in it. */
export const LineText = memo(function LineText(props: {
  text: string;
  marking: Marking;
  isCurrent: boolean;
}): ReactElement {
  const pieces = piecesOf(props.text);
  const ranges = rangesOf(pieces.map(({ text }) => text).join(""), props.marking);
  const nodes: ReactNode[] = [];
  let start = 0;
  for (const { text, className, color, background } of pieces) {
    // The style sheet keeps such colours readable on its own background.
    const style: Record<string, string> = {
      ...(color === undefined ? {} : { "--color": color }),
      ...(background === undefined ? {} : { "--background": background }),
    };
    const classes = [
      className,
      color !== undefined && "t-color",
      background !== undefined && "t-background",
    ];
    const parts = split(text, start, ranges).map(([part, isMarked], i) =>
      isMarked ? (
        <mark key={i} className={props.isCurrent ? "current" : ""}>
          {part}
        </mark>
      ) : (
        part
      ),
    );
    const isPlain = className === "" && color === undefined && background === undefined;
    nodes.push(
      isPlain ? (
        parts
      ) : (
        <span key={start} className={classes.filter(Boolean).join(" ")} style={style}>
          {parts}
        </span>
      ),
    );
    start += text.length;
  }
  return <span className="line-text">{nodes}</span>;
});

/** The parts of a text that begins at `start`, and whether each is in one of the ranges. */
function split(
  text: string,
  start: number,
  ranges: readonly (readonly [number, number])[],
): [string, boolean][] {
  const parts: [string, boolean][] = [];
  let at = 0;
  for (const [from, to] of ranges) {
    const [a, b] = [Math.max(from - start, at), Math.min(to - start, text.length)];
    if (b <= a) continue;
    if (a > at) parts.push([text.slice(at, a), false]);
    parts.push([text.slice(a, b), true]);
    at = b;
  }
  if (at < text.length) parts.push([text.slice(at), false]);
  return parts;
}
