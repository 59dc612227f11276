/** The lines of a log as far as they are looked at: a window of it is kept, the rest stays with the daemon. */
import { apiUrl, getJson } from "../api.ts";
import type { LogGrownMessage, LogLineMessage, LogLinesMessage } from "../api.ts";

/** Lines that are asked for at once. */
const chunkLines = 500;
/** Chunks that are kept: some 6,000 lines. */
const mostChunks = 12;
/** Characters of a line that are shown, as the daemon has it. */
export const maxLineLength = 10_000;

export type Line = Pick<LogLineMessage, "number" | "text" | "cut" | "offset" | "length">;

interface Chunk {
  readonly lines: Line[];
  /** Bytes of the log that these lines know of. */
  size: number;
}

export class LogSource {
  /** All lines. */
  total: number;
  /** Bytes. */
  size: number;
  readonly #path: string;
  readonly #drvPath: string;
  readonly #onChange: () => void;
  /** Lines from `chunk * chunkLines + 1` on, the chunks used last come last. */
  readonly #chunks = new Map<number, Chunk>();
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
    const known = this.#chunks.get(chunk);
    if (known !== undefined) this.#touch(chunk, known);
    const line = known?.lines[number - 1 - chunk * chunkLines];
    if (line === undefined) this.#ask(chunk);
    return line;
  }

  /** Takes in what was added. */
  grown(message: LogGrownMessage): void {
    const { text, line, size, lines } = message;
    // An answer may have told more already.
    this.total = Math.max(this.total, lines);
    this.size = Math.max(this.size, size);
    // The first message only says where the log stands.
    if (text === null && size > message.from) this.#forgetFrom(line);
    else if (text !== null && text !== "") this.#append(text, message);
    this.#onChange();
  }

  #append(text: string, message: LogGrownMessage): void {
    const { line: first, from, size } = message;
    const parts = text.split("\n");
    // What follows the last line end is the beginning of a line only if there is something.
    if (parts.at(-1) === "") parts.pop();
    const grown = new Set<Chunk>();
    let offset = from;
    for (const [i, part] of parts.entries()) {
      const number = first + i;
      const chunk = this.#chunkFor(number, i > 0 || from === 0);
      // An answer may have said already what is told now, or the half of it.
      if (chunk === undefined || (chunk.size > from && chunk.size < size)) {
        this.#forgetFrom(number);
        break;
      }
      if (chunk.size < size) {
        add(chunk.lines, { number, text: part, offset, length: part.length, cut: false });
        grown.add(chunk);
      }
      offset += part.length + 1;
    }
    for (const chunk of grown) chunk.size = size;
  }

  /** The chunk that a line is to be added to, if all before it is there; `isWhole` says that this is the line from its beginning on. */
  #chunkFor(number: number, isWhole: boolean): Chunk | undefined {
    const at = Math.floor((number - 1) / chunkLines);
    const index = number - 1 - at * chunkLines;
    const known = this.#chunks.get(at);
    if (known !== undefined) return index <= known.lines.length ? known : undefined;
    // While the daemon is asked for it, nothing begins it.
    if (index > 0 || !isWhole || this.#asked.has(at)) return undefined;
    const chunk = { lines: [], size: 0 };
    this.#chunks.set(at, chunk);
    this.#trim();
    return chunk;
  }

  /** These lines are not what they were. */
  #forgetFrom(number: number): void {
    const first = Math.floor((number - 1) / chunkLines);
    for (const chunk of this.#chunks.keys()) if (chunk >= first) this.#chunks.delete(chunk);
  }

  /** Asks for what is missing of a chunk: of very long lines the daemon gives only some at once. */
  #ask(chunk: number): void {
    const known = this.#chunks.get(chunk)?.lines ?? [];
    const first = chunk * chunkLines + known.length;
    if (this.#asked.has(chunk) || first >= this.total) return;
    this.#asked.add(chunk);
    const url = apiUrl(`${this.#path}/lines`, {
      drvPath: this.#drvPath,
      from: first + 1,
      count: chunkLines - known.length,
    });
    void this.#load(url, chunk, known);
  }

  async #load(url: string, chunk: number, known: readonly Line[]): Promise<void> {
    try {
      const { lines, total, size } = await getJson<LogLinesMessage>(url);
      const last = lines.at(-1);
      const reachesEnd = last === undefined || last.offset + last.length + 1 >= size;
      // What was told meanwhile may be more than this answer knows: then it is asked for again.
      const isOld = reachesEnd && size < this.size;
      this.total = Math.max(this.total, total);
      this.size = Math.max(this.size, size);
      if (!isOld) this.#chunks.set(chunk, { lines: [...known, ...lines], size });
      this.#trim();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 2000));
    }
    this.#asked.delete(chunk);
    this.#onChange();
  }

  #touch(at: number, chunk: Chunk): void {
    this.#chunks.delete(at);
    this.#chunks.set(at, chunk);
  }

  #trim(): void {
    for (const chunk of this.#chunks.keys()) {
      if (this.#chunks.size <= mostChunks) return;
      this.#chunks.delete(chunk);
    }
  }
}

/** Adds a line, or what goes on the last one. */
function add(lines: Line[], line: Line): void {
  const before = lines.at(-1)?.number === line.number ? lines.pop() : undefined;
  const whole = `${before?.text ?? ""}${line.text}`;
  lines.push({
    number: line.number,
    text: whole.slice(0, maxLineLength),
    cut: before?.cut === true || whole.length > maxLineLength,
    offset: before?.offset ?? line.offset,
    length: (before?.length ?? 0) + line.length,
  });
}
