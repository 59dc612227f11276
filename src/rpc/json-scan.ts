/**
 * What JSON.parse does not tell, read off the bytes: how deep a text is nested, and how a member was written. Linear, without
 * recursion; a reviver could do the second, but takes half a second for a hostile megabyte.
 */

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;

/** Whether arrays and objects are nested deeper than `limit`. Of bytes that are not JSON the answer means nothing. */
export function isDeeperThan(json: Buffer, limit: number): boolean {
  if (json.length <= limit) return false;
  let depth = 0;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at];
    if (byte === quote) {
      at = afterString(json, at) - 1;
    } else if (isOpening(byte)) {
      if (++depth > limit) return true;
    } else if (isClosing(byte)) {
      depth--;
    }
  }
  return false;
}

/**
 * The text of a member's value, by the names that lead to it; of members with one name the last counts. Undefined when there is no such
 * member, or a value on the way is no object.
 *
 * @param json bytes that JSON.parse has accepted
 */
export function memberText(json: Buffer, ...names: readonly string[]): string | undefined {
  let start = afterBlanks(json, 0);
  let end = json.length;
  for (const name of names) {
    if (json[start] !== 0x7b) return undefined;
    const member = findMember(json, start, name);
    if (member === undefined) return undefined;
    [start, end] = member;
  }
  return json.toString("utf8", start, end);
}

/** Where the value of a member of the object at `at` begins and ends. */
function findMember(json: Buffer, at: number, name: string): [number, number] | undefined {
  let found: [number, number] | undefined;
  for (let next = afterBlanks(json, at + 1); json[next] === quote;) {
    const keyEnd = afterString(json, next);
    const isNamed = isString(json.subarray(next, keyEnd), name);
    // Behind the key comes the colon.
    const start = afterBlanks(json, afterBlanks(json, keyEnd) + 1);
    const end = afterValue(json, start);
    if (isNamed) found = [start, end];
    next = afterBlanks(json, end);
    if (json[next] === comma) next = afterBlanks(json, next + 1);
  }
  return found;
}

/** Whether a string's text, quotes included, stands for `value`: plain, or with escapes. */
function isString(text: Buffer, value: string): boolean {
  // An escape has at most six characters.
  if (text.length > 6 * value.length + 2) return false;
  return JSON.parse(text.toString("utf8")) === value;
}

function afterValue(json: Buffer, start: number): number {
  let at = start;
  if (json[at] === quote) return afterString(json, at);
  if (!isOpening(json[at])) {
    while (at < json.length && !isBlank(json[at]) && json[at] !== comma && !isClosing(json[at]))
      at++;
    return at;
  }
  for (let depth = 0; at < json.length;) {
    const byte = json[at];
    at = byte === quote ? afterString(json, at) : at + 1;
    if (isOpening(byte)) depth++;
    else if (isClosing(byte) && --depth === 0) break;
  }
  return at;
}

/** The place after the string that begins at `start`. */
function afterString(json: Buffer, start: number): number {
  let at = start + 1;
  for (; at < json.length && json[at] !== quote; at++) if (json[at] === backslash) at++;
  return at + 1;
}

function afterBlanks(json: Buffer, start: number): number {
  let at = start;
  while (isBlank(json[at])) at++;
  return at;
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function isOpening(byte: number | undefined): boolean {
  return byte === 0x7b || byte === 0x5b;
}

function isClosing(byte: number | undefined): boolean {
  return byte === 0x7d || byte === 0x5d;
}
