/** A thread that searches one log and ends. */
import { closeSync, openSync, readSync } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import { parentPort, workerData } from "node:worker_threads";
import { errorCode } from "../files/file-error.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { SearchFinding, SearchTask } from "./log-search.ts";
import { withoutEscapes } from "../util/terminal-codes.ts";

const chunkSize = 1024 * 1024;
const parts = 200;
/** A line without an end in sight is searched in pieces of this many characters. */
const maxPiece = 4 * chunkSize;

const task: SearchTask = workerData;
parentPort?.postMessage(answer(task), []);

function answer(task: SearchTask): SearchFinding | { fault: string } {
  try {
    return search(task);
  } catch (error) {
    return { fault: KilnError.from(error).message };
  }
}

interface Finder {
  /** The text that is searched: lower case may be longer. */
  prepared(text: string): string;
  /** Calls `found` with the place of each match, in order. */
  find(text: string, found: (at: number) => void): void;
}

function search(task: SearchTask): SearchFinding {
  const finder = finderOf(task);
  const { from, limit } = task;
  const lines: number[] = [];
  let total = 0;
  let before = 0;
  let line = 1;
  const places: number[] = [];
  for (const block of blocksOf(task.path)) {
    const text = finder.prepared(withoutEscapes(block));
    let seen = 0;
    finder.find(text, (at) => {
      for (let end; (end = text.indexOf("\n", seen)) !== -1 && end < at; seen = end + 1) line++;
      total++;
      if (places.at(-1) !== line) places.push(line);
      if (line < from) before++;
      else if (lines.length < limit) lines.push(line);
    });
    for (let end; (end = text.indexOf("\n", seen)) !== -1; seen = end + 1) line++;
  }
  return { total, before, lines, ticks: ticksOf(places, line) };
}

function finderOf({ text, isPattern, isCaseSensitive }: SearchTask): Finder {
  if (isPattern) {
    const pattern = new RegExp(text, isCaseSensitive ? "gmu" : "gimu");
    return {
      prepared: (block) => block,
      find: (block, found) => {
        for (const match of block.matchAll(pattern)) if (match[0] !== "") found(match.index);
      },
    };
  }
  const wanted = isCaseSensitive ? text : text.toLowerCase();
  return {
    prepared: (block) => (isCaseSensitive ? block : block.toLowerCase()),
    find: (block, found) => {
      for (let at = block.indexOf(wanted); at !== -1;) {
        found(at);
        at = block.indexOf(wanted, at + wanted.length);
      }
    },
  };
}

/** The text of a file in pieces that end where lines do, if those are not endless. */
function* blocksOf(path: string): Generator<string, void, void> {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  try {
    const decoder = new StringDecoder("utf8");
    const buffer = Buffer.allocUnsafe(chunkSize);
    let rest = "";
    for (let length; (length = readSync(file, buffer, 0, chunkSize, null)) > 0;) {
      const text = rest + decoder.write(buffer.subarray(0, length));
      const end = text.lastIndexOf("\n") + 1;
      if (end === 0 && text.length < maxPiece) {
        rest = text;
        continue;
      }
      const cut = end === 0 ? text.length : end;
      yield text.slice(0, cut);
      rest = text.slice(cut);
    }
    yield rest + decoder.end();
  } finally {
    closeSync(file);
  }
}

/** Which of the equal parts of `count` lines have one of these. */
function ticksOf(lines: readonly number[], count: number): number[] {
  const ticks = Array.from({ length: parts }, () => 0);
  for (const line of lines)
    ticks[Math.min(parts - 1, Math.floor(((line - 1) / count) * parts))] = 1;
  return ticks;
}
