/**
 * Values that answer for members they do not have. In a string, the `undefined` that JavaScript gives for those would be text like
 * any other, and build something else.
 */
import { Fault, nearest, show } from "./fault.ts";

/** The fault of asking `asked` for the member `name`. */
type Missing<T> = (asked: T, name: string) => Fault;

/** Has all values of a class answer. Their own members are found as fast as before. */
export function refuseMissing<T extends object>(prototype: T, missing: Missing<T>): void {
  Object.setPrototypeOf(prototype, new Proxy(Object.prototype, answerer(missing)));
}

/** `members`, which answers for others. */
export function answerForMissing<T extends object>(members: T, missing: Missing<T>): T {
  return new Proxy<T>(members, answerer(missing));
}

function answerer<T>(missing: Missing<T>): {
  get: (target: object, name: string | symbol, asked: T) => unknown;
} {
  return {
    get(target, name, asked) {
      // `then` is what `await` asks everything for.
      if (typeof name === "symbol" || name === "then" || Reflect.has(target, name)) {
        return Reflect.get(target, name, asked);
      }
      throw missing(asked, name);
    },
  };
}

/** That a derivation has no such output, nor anything else of that name. */
export function noOutput(derivation: string, names: readonly string[], asked: string): Fault {
  const meant = nearest(asked, names);
  return new Fault(
    "author.output",
    `derivation ${show(derivation)} has no output ${show(asked)}; ${namesOfOutputs(names)}`,
    { hint: meant === undefined ? undefined : `write .${meant}` },
  );
}

/** That what has a path, a `source` or an `output`, has no such member. */
export function noMember(kind: string, name: string, asked: string): Fault {
  return new Fault("author.option", `${kind} ${show(name)} has no member ${show(asked)}`, {
    hint: `a file in it is written behind it: \`\${…}/${asked}\``,
  });
}

/** For messages. */
export function namesOfOutputs(names: readonly string[]): string {
  return names.length === 1 ? `its output is ${names[0]}` : `its outputs are ${names.join(", ")}`;
}
