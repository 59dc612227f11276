/**
 * Header fields of a message: `Name: value` lines up to an empty one, as in MIME.
 *
 * What is read is what zb reads. Names are case-insensitive, lines end in LF or CRLF, blanks around a value go, a line that begins
 * with a blank continues the value before it, and of two fields with one name the first counts. A name may hold a blank, but is
 * then nobody's name. Control characters, other characters in a name, a line without a colon and a block that begins with a blank
 * are faults.
 */
import { KilnError } from "../util/kiln-error.ts";

/** The bounds of one header block. */
export interface HeaderLimits {
  /** Bytes of all lines together, line ends included. */
  readonly headerBytes: number;
  /** Fields; continuation lines do not count. */
  readonly headerFields: number;
}

/** Fields of one message, each name once. */
export class Headers {
  readonly #fields = new Map<string, string>();

  /** The value, or undefined. `name` in any case. */
  get(name: string): string | undefined {
    return this.#fields.get(name.toLowerCase());
  }

  /**
   * Sets a field that is to be sent.
   *
   * @throws KilnError `frame.header` when the name is no name, or the value holds a line end or another control character.
   */
  set(name: string, value: string): this {
    if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) throw fault(`${quote(name)} is no name`);
    if (controls.test(value)) throw fault(`the value of ${name} holds a control character`);
    this.#fields.set(name.toLowerCase(), value);
    return this;
  }

  /** Keeps the first value of a name. For {@link HeaderParser}. */
  addRead(name: string, value: string): void {
    const key = name.toLowerCase();
    if (!this.#fields.has(key)) this.#fields.set(key, value);
  }

  /** The block as it is sent: canonical names in order, and the empty line. */
  toString(): string {
    const lines = [...this.#fields].map(([name, value]) => `${canonical(name)}: ${value}\r\n`);
    return `${lines.toSorted().join("")}\r\n`;
  }
}

/** Takes a header block line by line, so that the first bad line ends it. */
export class HeaderParser {
  readonly headers: Headers = new Headers();
  readonly #limits: HeaderLimits;
  #bytes = 0;
  #fields = 0;
  /** The field whose value the next line may continue. */
  #name: string | undefined;
  #value = "";

  constructor(limits: HeaderLimits) {
    this.#limits = limits;
  }

  /**
   * One line, without its `\n`. True when it was the empty line that ends the block: {@link headers} is then complete.
   *
   * @throws KilnError `frame.header`, or `frame.headerSize` beyond a limit.
   */
  line(line: Buffer): boolean {
    this.grow(line.length + 1);
    let text = line.toString("utf8");
    if (text.endsWith("\r")) text = text.slice(0, -1);
    if (text === "") {
      this.#finishField();
      return true;
    }
    if (text.startsWith(" ") || text.startsWith("\t")) {
      if (this.#name === undefined) throw fault("the first line begins with a blank");
      this.#value += ` ${trim(text)}`;
      return false;
    }
    this.#finishField();
    const colon = text.indexOf(":");
    const name = text.slice(0, Math.max(0, colon));
    if (!/^[ !#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
      throw fault(`${quote(text)} is no header line`);
    }
    if (++this.#fields > this.#limits.headerFields) {
      throw tooLarge(`more than ${this.#limits.headerFields} fields`);
    }
    this.#name = name;
    this.#value = text.slice(colon + 1);
    return false;
  }

  /** Counts bytes of the block before they are kept. */
  grow(bytes: number): void {
    this.#bytes += bytes;
    this.check(0);
  }

  /** Whether the block may have so many more bytes: a line whose end is not there yet. */
  check(bytes: number): void {
    if (this.#bytes + bytes > this.#limits.headerBytes) {
      throw tooLarge(`more than ${this.#limits.headerBytes} bytes`);
    }
  }

  #finishField(): void {
    if (this.#name === undefined) return;
    const value = trim(this.#value);
    if (controls.test(value)) throw fault(`the value of ${this.#name} holds a control character`);
    this.headers.addRead(this.#name, value);
    this.#name = undefined;
  }
}

// oxlint-disable-next-line no-control-regex
const controls = /[\u0000-\u0008\u000a-\u001f\u007f]/;

function canonical(name: string): string {
  return name.replaceAll(/(?<=^|-)[a-z]/g, (letter) => letter.toUpperCase());
}

/** Without blanks around it. Not `String.trim`: a CR or a no-break space is part of the value. */
function trim(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isBlank(unit: number): boolean {
  return unit === 0x20 || unit === 0x09;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

function fault(message: string): KilnError {
  return new KilnError("frame.header", `bad message header: ${message}`);
}

function tooLarge(message: string): KilnError {
  return new KilnError("frame.headerSize", `the header of a message has ${message}`);
}
