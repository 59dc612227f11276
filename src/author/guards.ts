/**
 * Keeps time and chance out of build files: what differs at every run would make every run another build. Packages and Node itself
 * may use them.
 */
import { Fault } from "./fault.ts";
import { isInPackage } from "./hooks.ts";
import { callerModule, fileName, isInternal } from "./place.ts";

/** Replaces `Date` and `Math.random` of this process. Not to be undone: the process is the evaluation's own. */
export function installGuards(): void {
  const { random } = Math;
  const RealDate = Date;

  function now(): number {
    refuse("Date.now()", now);
    return RealDate.now();
  }
  Math.random = function guarded(): number {
    refuse("Math.random()", guarded);
    return random();
  };
  globalThis.Date = new Proxy(RealDate, {
    construct,
    apply,
    get: (target, property, receiver): unknown =>
      property === "now" ? now : Reflect.get(target, property, receiver),
  });
}

function construct(target: DateConstructor, args: unknown[], newTarget: Function): object {
  if (args.length === 0) refuse("new Date()", construct);
  return Reflect.construct(target, args, newTarget);
}

function apply(target: DateConstructor): string {
  refuse("Date()", apply);
  return target();
}

function refuse(call: string, guard: (...args: never[]) => unknown): void {
  const caller = callerModule(guard);
  if (caller === undefined || isInternal(caller) || isInPackage(fileName(caller))) return;
  throw new Fault(
    "author.impure",
    `${call} gives something else at every run, and so another build`,
    {
      hint: "let a parameter say it (--arg) or a variable (--allow-env)",
    },
  );
}
