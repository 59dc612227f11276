/** The lines of a log as far as they are looked at: a window of it is kept, the rest stays with the daemon. */
import { apiUrl, getJson } from "../api.ts";
import type { LogGrownMessage, LogLineMessage, LogLinesMessage } from "../api.ts";

/** Lines that are asked for at once. */
const chunkLines = 500;
/** Chunks that are kept: some 6,000 lines. */
const mostChunks = 12;
/** Characters of a line that are shown, as the daemon has it. */
export const maxLineLength = 10_000;

type Line = Pick<LogLineMessage, "number" | "text" | "cut" | "offset" | "length">;

export class LogSource {
  /** All lines. */
  total: number;
  /** Bytes. */
  size: number;
  readonly #path: string;
  readonly #drvPath: string;
  readonly #onChange: () => void;
  /** Lines from `chunk * chunkLines + 1` on, the chunks used last come last. */
  readonly #chunks = new Map<number, Line[]>();
  readonly #asked = new Set<number>();

  constructor(
    place: { readonly buildID: string; readonly drvPath: string },
    known: { readonly lines: number; readonly size: number },
    onChange: () => void,
  ) {
    this.#path = `/builds/${place.buildID}/log`;
    this.#drvPath = place.drvPath;
    this.total = known.lines;
    this.size = known.size;
    this.#onChange = onChange;
  }

  /** A line if it is there; otherwise it is asked for. */
  line(number: number): Line | undefined {
    const chunk = Math.floor((number - 1) / chunkLines);
    const lines = this.#chunks.get(chunk);
    if (lines === undefined) this.#ask(chunk);
    else this.#touch(chunk, lines);
    return lines?.[number - 1 - chunk * chunkLines];
  }

  /** Takes in what was added. */
  grown(message: LogGrownMessage): void {
    const { text, line, from, size, lines } = message;
    this.total = lines;
    this.size = size;
    if (text === null) this.#forgetFrom(line);
    else if (text !== "") this.#append(text, line, from);
    this.#onChange();
  }

  #append(text: string, first: number, from: number): void {
    const parts = text.split("\n");
    // What follows the last line end is the beginning of a line only if there is something.
    if (parts.at(-1) === "") parts.pop();
    let offset = from;
    for (const [i, part] of parts.entries()) {
      this.#add(first + i, part, offset, i === 0);
      offset += part.length + 1;
    }
  }

  #add(number: number, text: string, offset: number, mayContinue: boolean): void {
    const chunk = Math.floor((number - 1) / chunkLines);
    const index = number - 1 - chunk * chunkLines;
    let lines = this.#chunks.get(chunk);
    if (lines === undefined && index === 0) {
      lines = [];
      this.#chunks.set(chunk, lines);
      this.#trim();
    }
    if (lines === undefined || index > lines.length) return this.#forgetFrom(number);
    const before = mayContinue ? lines[index] : undefined;
    const whole = `${before?.text ?? ""}${text}`;
    lines[index] = {
      number,
      text: whole.slice(0, maxLineLength),
      cut: before?.cut === true || whole.length > maxLineLength,
      offset: before?.offset ?? offset,
      length: whole.length,
    };
  }

  /** These lines are not what they were. */
  #forgetFrom(number: number): void {
    const first = Math.floor((number - 1) / chunkLines);
    for (const chunk of this.#chunks.keys()) if (chunk >= first) this.#chunks.delete(chunk);
  }

  #ask(chunk: number): void {
    if (this.#asked.has(chunk) || chunk * chunkLines >= this.total) return;
    this.#asked.add(chunk);
    const from = chunk * chunkLines + 1;
    const url = apiUrl(`${this.#path}/lines`, {
      drvPath: this.#drvPath,
      from,
      count: chunkLines,
    });
    void this.#load(url, chunk);
  }

  async #load(url: string, chunk: number): Promise<void> {
    try {
      const { lines, total, size } = await getJson<LogLinesMessage>(url);
      // What was added meanwhile has been told, and may be more.
      this.total = Math.max(this.total, total);
      this.size = Math.max(this.size, size);
      this.#chunks.set(chunk, [...lines]);
      this.#trim();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
    this.#asked.delete(chunk);
    this.#onChange();
  }

  #touch(chunk: number, lines: Line[]): void {
    this.#chunks.delete(chunk);
    this.#chunks.set(chunk, lines);
  }

  #trim(): void {
    for (const chunk of this.#chunks.keys()) {
      if (this.#chunks.size <= mostChunks) return;
      this.#chunks.delete(chunk);
    }
  }
}
