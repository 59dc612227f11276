/**
 * Keeps time and chance out of build files: what differs at every run would make every run another build. Packages and Node itself
 * may use them.
 */
import { context } from "./context.ts";
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
  process.env = new Proxy(process.env, { get: readVariable });
  globalThis.Date = new Proxy(RealDate, {
    construct,
    apply,
    get: (target, property, receiver): unknown =>
      property === "now" ? now : Reflect.get(target, property, receiver),
  });
}

/** The process has no variables. One that is missed is no fault, as packages ask for many; but it may be why something is. */
function readVariable(variables: NodeJS.ProcessEnv, name: string | symbol): unknown {
  const { env, forbiddenEnv, warn } = context();
  if (typeof name === "string" && (env.has(name) || forbiddenEnv.has(name))) {
    const caller = callerModule(readVariable);
    if (caller !== undefined && !isInternal(caller) && !isInPackage(fileName(caller))) {
      forbiddenEnv.delete(name);
      const allow = env.has(name) ? "" : `, if --allow-env ${name} lets it`;
      warn(`process.env.${name} gives nothing: env(${JSON.stringify(name)}) reads it${allow}`);
    }
  }
  return Reflect.get(variables, name);
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
