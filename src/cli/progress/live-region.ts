/** The live region of the tree: rows for what is not finished and a bar, drawn from a snapshot of the build. Pure. */
import stringWidth from "string-width";
import { cutEnd, cutMiddle, number, timer } from "../text.ts";
import { type BuildView, isOpen, type ResultView } from "./build-view.ts";
import type { Style } from "./style.ts";
import { harmless } from "./terminal-text.ts";

export interface Screen {
  readonly columns: number;
  readonly rows: number;
}

/** Where the second column begins. */
const nameWidth = 16;

/** The lines to show now; the last one is the bar. */
export function liveRegion(view: BuildView, style: Style, screen: Screen, now: number): string[] {
  const bar = barLine(view, style, screen, now);
  if (screen.columns < 50) return [bar];
  const most = Math.max(4, Math.floor(screen.rows / 3)) - 1;
  const rows = treeRows(view);
  const shown = rows.length <= most ? rows : flatRows(rows, most);
  const lines = shown.map((row) => rowLine(row, style, screen, now));
  const hidden = rows.length - shown.length;
  if (hidden > 0) {
    const allRunShown = shown.some((row) => row.result.state === "waiting");
    const word = allRunShown || rows.every((row) => row.result.state === "waiting");
    lines.push(style.paint("dim", `… ${number(hidden)} more ${word ? "waiting" : "not finished"}`));
  }
  return [...lines, bar];
}

interface Row {
  readonly result: ResultView;
  /** Below a target that needs it. */
  readonly child: boolean;
  /** Names of what it waits for that is shown elsewhere. */
  readonly waitsFor: string | undefined;
}

/** What is not finished, each once, under the first target that needs it. */
function treeRows(view: BuildView): Row[] {
  const rows: Row[] = [];
  const seen = new Set<string>();
  const addRow = (result: ResultView, child: boolean): void => {
    const blocking = result.inputs.find((input) => {
      const other = view.result(input);
      return other !== undefined && isOpen(other) && seen.has(input);
    });
    const waitsFor =
      result.state === "waiting" && blocking !== undefined ? view.nameOf(blocking) : undefined;
    rows.push({ result, child, waitsFor });
  };
  const visit = (drvPath: string, child: boolean): void => {
    const result = view.result(drvPath);
    if (result === undefined || !isOpen(result) || seen.has(drvPath)) return;
    addRow(result, child);
    seen.add(drvPath);
    // Depth first with an own stack: chains can be long.
    const stack = result.inputs.toReversed();
    for (let input = stack.pop(); input !== undefined; input = stack.pop()) {
      const needed = view.result(input);
      if (needed === undefined || !isOpen(needed) || seen.has(input)) continue;
      addRow(needed, true);
      seen.add(input);
      stack.push(...needed.inputs.toReversed());
    }
  };
  for (const target of view.targets) visit(target.drvPath, false);
  for (const drvPath of view.results.keys()) visit(drvPath, false);
  return rows;
}

/** Running before waiting, without the tree, at most `most` less one line for the rest. */
function flatRows(rows: readonly Row[], most: number): Row[] {
  const running = rows.filter((row) => row.result.state !== "waiting");
  const waiting = rows.filter((row) => row.result.state === "waiting");
  return [...running, ...waiting].slice(0, most - 1).map((row) => ({ ...row, child: false }));
}

function rowLine(row: Row, style: Style, screen: Screen, now: number): string {
  const { result, child } = row;
  const left = `${child ? `${style.branch} ` : ""}${style.shape(result.state)} `;
  const width = nameWidth - (child ? 2 : 0);
  const most = screen.columns >= 80 ? 28 : width - 1;
  const name = `${cutMiddle(result.name, most)} `.padEnd(width);
  const time = rowTime(result, now);
  const leftWidth = (child ? 4 : 2) + stringWidth(name);
  const space = screen.columns - leftWidth - stringWidth(time) - 1;
  const wanted = screen.columns < 80 && result.state === "running" ? "" : rowDetail(row, style);
  const detail = cutToWidth(harmless(wanted, { colour: false }), Math.max(0, space));
  const used = leftWidth + stringWidth(detail) + stringWidth(time);
  const fill = time === "" ? "" : " ".repeat(Math.max(1, screen.columns - used));
  const painted =
    result.state === "waiting" ? style.paint("dim", `${name}${detail}`) : `${name}${detail}`;
  return `${left}${painted}${fill}${style.paint("dim", time)}`;
}

/** As {@link cutEnd}, for texts whose characters may be two columns wide, or none. */
function cutToWidth(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  let cut = "";
  let left = width - 1;
  for (const { segment } of new Intl.Segmenter().segment(text.slice(0, 2 * width))) {
    left -= stringWidth(segment);
    if (left < 0) break;
    cut += segment;
  }
  return width < 1 ? "" : `${cut}…`;
}

function rowDetail(row: Row, style: Style): string {
  const { result, waitsFor } = row;
  if (result.state === "waiting") return waitsFor === undefined ? "" : `waits for ${waitsFor}`;
  const line = harmless(result.lastLine, style).trim();
  if (result.phase === undefined) return line;
  return line === "" ? result.phase : `${result.phase}: ${line}`;
}

function rowTime(result: ResultView, now: number): string {
  const about = result.estimateMs === null ? "" : `~${timer(result.estimateMs)}`;
  const estimate = about === "~" ? "" : about;
  if (result.startedAt === undefined) return estimate;
  const spent = timer(now - result.startedAt);
  return estimate === "" || spent === "" ? spent : `${spent} of ${estimate}`;
}

function barLine(view: BuildView, style: Style, screen: Screen, now: number): string {
  const { done, total } = view.progress();
  const running = view.inState("running", "substituting").length;
  const waiting = view.inState("waiting").length;
  const words = [
    running > 0 ? `${number(running)} running` : "",
    waiting > 0 ? `${number(waiting)} waiting` : "",
  ].filter(Boolean);
  const spent = timer(now - view.startedAt);
  const rest = timer(view.estimateMs === null ? 0 : view.estimateMs - (now - view.startedAt));
  const times = [spent, rest === "" ? "" : `~${rest}`].filter(Boolean);
  const text = [
    total === 0 ? "planning" : `${number(done)}/${number(total)}`,
    words.join(", "),
    times.join(" "),
  ]
    .filter(Boolean)
    .join("  ");
  const width = screen.columns - stringWidth(text) - 1;
  if (width < 8 || screen.columns < 50) return cutEnd(text, screen.columns);
  const filled = total === 0 ? 0 : Math.round((width * done) / total);
  const bar = style.paint("built", style.barDone.repeat(filled));
  return `${bar}${style.paint("dim", style.barRest.repeat(width - filled))} ${text}`;
}
