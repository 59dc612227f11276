/** How much a program can be given when it is started. */
import { Buffer } from "node:buffer";
import { wrong, type Subject } from "./strings.ts";

/** Linux refuses to start a program when one variable or argument, with name and closing NUL, is longer. */
const maxEntrySize = 131_072;
/** Linux's bound for all arguments and variables is a quarter of the stack limit, 2 MiB as a rule; half of it leaves room. */
const maxTotalSize = 1_048_576;

/** Throws when the builder could not be started with this. */
export function checkSizes(
  subject: Subject,
  env: ReadonlyMap<string, string>,
  args: readonly string[],
): void {
  let total = 0;
  const add = (where: string, size: number): void => {
    total += size;
    if (size <= maxEntrySize) return;
    throw wrong(
      subject,
      `${where} has ${count(size)} bytes; a program can be given 128 KiB`,
      large,
    );
  };
  for (const [i, arg] of args.entries()) add(`args[${i}]`, Buffer.byteLength(arg) + 1);
  for (const [key, value] of env) {
    const where = key === "args" ? "args" : `env.${key}`;
    add(where, Buffer.byteLength(key) + Buffer.byteLength(value) + 2);
  }
  if (total > maxTotalSize) {
    throw wrong(
      subject,
      `args, env and attrs have ${count(total)} bytes together; 1 MiB is allowed`,
      large,
    );
  }
}

const large = "put it into a file: text(name, content), or into attrs";

function count(bytes: number): string {
  return bytes.toLocaleString("en-US");
}
