/** Targets: what of a build file's exports can be built, and what is in them. */
import { Fault, show } from "./fault.ts";
import { completeArgs, ParamValue, type Param, type Params } from "./params.ts";
import { callerPlace, printPlace, type Place } from "./place.ts";
import type { ParameterListing, TargetListing } from "./listing.ts";
import { DerivationValue, OutputValue, type Derivation, type Output } from "./values.ts";

/** One value for each system, made when it is first looked at. */
export interface PerSystem<S extends string, T> {
  readonly bySystem: { readonly [K in S]: T };
}

/** What an export must be to be a target; a promise of it will do, too. */
export type Buildable =
  | Derivation
  | Output
  | PerSystem<string, unknown>
  | readonly Buildable[]
  | { readonly [name: string]: Buildable };

/** A target with parameters. Calling it makes what it builds; parameters with defaults may be left out. */
export type TargetFunction<P extends Record<string, unknown>, T> = ((args?: Partial<P>) => T) & {
  readonly params: { [K in keyof P]: Param<P[K]> };
};

/** What a `target()` is. */
export interface TargetInfo {
  readonly params: Params;
  readonly make: (args: Readonly<Record<string, unknown>>) => unknown;
  readonly place: Place | undefined;
}

const targetInfos = new WeakMap<object, TargetInfo>();

export class PerSystemValue implements PerSystem<string, unknown> {
  readonly bySystem: Readonly<Record<string, unknown>>;

  constructor(systems: readonly string[], make: (system: string) => unknown) {
    const bySystem = {};
    for (const system of systems) {
      let made: { readonly value: unknown } | undefined;
      const get = (): unknown => (made ??= { value: make(system) }).value;
      Object.defineProperty(bySystem, system, { enumerable: true, get });
    }
    this.bySystem = Object.freeze(bySystem);
    Object.freeze(this);
  }

  toString(): never {
    throw new Fault("author.option", "a perSystem() stands in a string", {
      hint: "say which one is meant: .bySystem[…] behind it",
    });
  }
}

export function makePerSystem(systems: unknown, make: unknown): PerSystemValue {
  const isList = Array.isArray(systems) && systems.length > 0;
  if (!isList || !systems.every((system) => typeof system === "string" && system !== "")) {
    throw new Fault("author.option", "perSystem(): the systems are no list of texts");
  }
  if (typeof make !== "function") {
    throw new Fault("author.option", `perSystem(): ${show(make)} stands where a function must`);
  }
  return new PerSystemValue(systems, (system) => make(system));
}

export function makeTarget(params: unknown, make: unknown): (args?: object) => unknown {
  const place = callerPlace();
  if (typeof params !== "object" || params === null) {
    throw new Fault("author.option", `target(): its parameters are ${show(params)}`, { place });
  }
  if (typeof make !== "function") {
    throw new Fault("author.option", `target(): ${show(make)} stands where a function must`, {
      place,
    });
  }
  const checked = new Map<string, ParamValue<string | number | boolean>>();
  for (const [name, param] of Object.entries(params)) {
    if (!(param instanceof ParamValue)) {
      const hint = "make parameters by param.string(), flag(), integer() or choice()";
      throw new Fault("author.option", `target(): ${show(name)} is no parameter`, { place, hint });
    }
    checked.set(name, param);
  }
  const info: TargetInfo = { params: checked, make: (args) => make(args), place };
  const call = (args: object = {}): unknown => info.make(completeArgs(checked, { ...args }));
  const target = Object.assign(call, {
    params: Object.freeze({ ...params }),
    toString: refuseString,
  });
  targetInfos.set(target, info);
  return target;
}

function refuseString(): never {
  const hint = "call it: what it gives can stand in a string";
  throw new Fault("author.option", "a target() stands in a string", { hint });
}

/** The targets of a module, as they can be asked for. */
export async function listTargets(exports: object): Promise<TargetListing[]> {
  const found: TargetListing[] = [];
  for (const [name, value] of Object.entries(exports)) {
    await list(name === "default" ? "" : name, await value, found);
  }
  return found.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** What the value is, if it is a `target()`. */
export function targetInfo(value: unknown): TargetInfo | undefined {
  return typeof value === "function" ? targetInfos.get(value) : undefined;
}

/** Whether the value, or what it promises, can be built. Groups must not be empty, nor hold anything else. */
export async function isBuildable(value: unknown, depth = 0): Promise<boolean> {
  const awaited = await value;
  if (
    awaited instanceof DerivationValue ||
    awaited instanceof OutputValue ||
    awaited instanceof PerSystemValue ||
    targetInfo(awaited) !== undefined
  ) {
    return true;
  }
  const members = groupMembers(awaited);
  if (members === undefined || members.length === 0 || depth > 16) return false;
  for (const member of members) {
    if (!(await isBuildable(member, depth + 1))) return false;
  }
  return true;
}

/** What is in a list or plain object; undefined for everything else. */
function groupMembers(value: unknown): readonly unknown[] | undefined {
  if (Array.isArray(value)) return value;
  return isPlainObject(value) ? Object.values(value) : undefined;
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** The parts of a value by name: a group's members, a derivation's outputs, the systems of a `perSystem()`. */
export async function membersOf(value: unknown): Promise<ReadonlyMap<string, unknown>> {
  if (value instanceof DerivationValue) return new Map(Object.entries(value.outputs));
  if (value instanceof PerSystemValue) return new Map(Object.entries(value.bySystem));
  if (Array.isArray(value)) return listMembers(value);
  return isPlainObject(value) ? new Map(Object.entries(value)) : new Map();
}

/** Members of a list go by the names of their derivations; of two that share one the first counts. */
async function listMembers(list: readonly unknown[]): Promise<ReadonlyMap<string, unknown>> {
  const members = new Map<string, unknown>();
  for (const [i, promised] of list.entries()) {
    const member: unknown = await promised;
    const named = member instanceof DerivationValue || member instanceof OutputValue;
    const name = named ? member.name : String(i);
    if (!members.has(name)) members.set(name, member);
  }
  return members;
}

/**
 * Checks that the names in a list tell its members apart. A group with two of one name cannot be built, but the file's other
 * targets can.
 */
export async function checkNames(path: string, value: unknown): Promise<void> {
  if (!Array.isArray(value)) return;
  const members = await listMembers(value);
  for (const promised of value) {
    const member: unknown = await promised;
    if (!(member instanceof DerivationValue || member instanceof OutputValue)) continue;
    const other = members.get(member.name);
    if (other === member) continue;
    const [place, otherPlace] = [placeOf(member), placeOf(other)];
    const group = path === "" ? "the default target" : `target "${path}"`;
    const before = otherPlace ? ` (the other one is made at ${printPlace(otherPlace)})` : "";
    const problem = `${group} has two members named ${show(member.name)}${before}`;
    throw new Fault("target.duplicate", problem, { hint: "use an object to name them", place });
  }
}

function placeOf(value: unknown): Place | undefined {
  const derivation = value instanceof OutputValue ? value.derivation : value;
  return derivation instanceof DerivationValue ? derivation.item.place : undefined;
}

async function list(name: string, value: unknown, found: TargetListing[]): Promise<void> {
  const info = targetInfo(value);
  if (info !== undefined) {
    found.push({ name, kind: "target", parameters: [...info.params].map(listParam) });
  } else if (value instanceof DerivationValue) {
    found.push({ name, kind: "derivation" });
  } else if (value instanceof OutputValue) {
    found.push({ name, kind: "output" });
  } else if (value instanceof PerSystemValue) {
    found.push({ name, kind: "perSystem", systems: Object.keys(value.bySystem) });
  } else if (await isBuildable(value)) {
    found.push({ name, kind: "group" });
    for (const [key, member] of await membersOf(value)) {
      await list(name === "" ? `/${key}` : `${name}/${key}`, await member, found);
    }
  }
}

function listParam([name, param]: [
  string,
  ParamValue<string | number | boolean>,
]): ParameterListing {
  return {
    name,
    kind: param.kind,
    ...(param.kind === "choice" && { choices: param.choices }),
    ...(param.default !== undefined && { default: param.default }),
    ...(param.text !== undefined && { doc: param.text }),
  };
}
