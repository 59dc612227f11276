/** Targets: what of a build file's exports can be built, and how one is named. */
import { context } from "./context.ts";
import { Fault, nearest, show } from "./fault.ts";
import { ParamValue, type Param } from "./params.ts";
import { callerPlace, printPlace, type Place } from "./place.ts";
import type { ParameterListing, TargetListing } from "./listing.ts";
import {
  DerivationValue,
  OutputValue,
  type Derivation,
  type DerivationItem,
  type Output,
} from "./values.ts";

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

/** A derivation that was asked for, or one output of it. */
export interface Wanted {
  /** As it was asked for. */
  readonly target: string;
  readonly name: string;
  readonly item: DerivationItem;
  readonly output?: string;
}

/** The arguments of the command line: `true` for a name without a value. */
export type GivenArgs = Readonly<Record<string, string | true>>;

interface TargetInfo {
  readonly params: ReadonlyMap<string, ParamValue<string | number | boolean>>;
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
  const call = (args: object = {}): unknown => info.make(completeArgs(info, { ...args }));
  const target = Object.assign(call, { params: Object.freeze({ ...params }) });
  targetInfos.set(target, info);
  return target;
}

/** The targets of a module, as they can be asked for. */
export async function listTargets(exports: object): Promise<TargetListing[]> {
  const found: TargetListing[] = [];
  for (const [name, value] of Object.entries(exports)) {
    await list(name === "default" ? "" : name, await value, found);
  }
  return found.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** Finds targets in the exports of one build file. */
export class Selection {
  readonly #exports: Readonly<Record<string, unknown>>;
  /** How the build file is called, for messages. */
  readonly #file: string;
  readonly #args: GivenArgs;
  readonly #made = new Map<TargetInfo, unknown>();
  readonly #wanted: Wanted[] = [];

  constructor(exports: Readonly<Record<string, unknown>>, file: string, args: GivenArgs) {
    this.#exports = exports;
    this.#file = file;
    this.#args = args;
  }

  /** All derivations of the targets asked for, in their order. */
  async select(asked: readonly string[]): Promise<readonly Wanted[]> {
    for (const name of asked) await this.#select(name);
    this.#checkArgs();
    return this.#wanted;
  }

  async #select(asked: string): Promise<void> {
    const [first = "", ...parts] = asked.split("/");
    const key = first === "" ? "default" : first;
    const exported = Object.hasOwn(this.#exports, key);
    let value = exported ? await this.#exports[key] : undefined;
    if (!exported || !(await isBuildable(value)))
      throw await this.#notATarget(asked, value, exported);
    let path = first;
    for (const part of parts) {
      value = await this.#part(path, value, part);
      path += `/${part}`;
    }
    await this.#collect(asked, path, value);
  }

  /** The part of `value` called `part`; `path` leads to `value`. */
  async #part(path: string, value: unknown, part: string): Promise<unknown> {
    const whole = await this.#opened(path, value, part);
    const members = await membersOf(path, whole);
    if (members.has(part)) return members.get(part);
    const at = path === "" ? "the default target" : `target "${path}"`;
    const names = [...members.keys()];
    if (names.length === 0)
      throw new Fault("target.unknown", `${at} has no parts, so no ${show(part)}`);
    throw new Fault("target.unknown", `${at} has no part ${show(part)}`, {
      hint: suggestion(part, names, (name) => `.#${path}/${name}`),
    });
  }

  /** `value` with its `target()` called; and, unless `part` is one of its systems, its `perSystem()` chosen from. */
  async #opened(path: string, value: unknown, part?: string): Promise<unknown> {
    const awaited = await value;
    const info = targetInfo(awaited);
    if (info !== undefined) return this.#opened(path, this.#call(path, info), part);
    if (!(awaited instanceof PerSystemValue)) return awaited;
    const { bySystem } = awaited;
    if (part !== undefined && Object.hasOwn(bySystem, part)) return awaited;
    const { system } = context();
    if (Object.hasOwn(bySystem, system)) return this.#opened(path, bySystem[system], part);
    const of = path === "" ? "the default target is" : `target "${path}" is`;
    throw new Fault("target.system", `${of} not made for ${system}`, {
      hint: `it is for ${Object.keys(bySystem).join(", ")}; say which by --system, or behind the target`,
    });
  }

  #call(path: string, info: TargetInfo): unknown {
    if (!this.#made.has(info)) {
      const given = parseArgs(path, info, this.#args);
      this.#made.set(info, info.make(completeArgs(info, given, path)));
    }
    return this.#made.get(info);
  }

  async #collect(target: string, path: string, value: unknown): Promise<void> {
    const opened = await this.#opened(path, value);
    if (opened instanceof DerivationValue) {
      this.#wanted.push({ target, name: path || opened.name, item: opened.item });
    } else if (opened instanceof OutputValue) {
      const { derivation, outputName } = opened;
      this.#wanted.push({
        target,
        name: path || opened.name,
        item: derivation.item,
        output: outputName,
      });
    } else if (await isBuildable(opened)) {
      for (const [key, member] of await membersOf(path, opened)) {
        await this.#collect(target, path === "" ? key : `${path}/${key}`, member);
      }
    } else {
      const place = targetInfo(await value)?.place;
      const asked = path === "" ? "the default target" : `target "${path}"`;
      const what = Array.isArray(opened) ? "an empty list" : show(opened);
      throw new Fault("target.kind", `${asked} gives ${what}, nothing that can be built`, {
        place,
      });
    }
  }

  #checkArgs(): void {
    const known = new Map([...this.#made.keys()].flatMap(({ params }) => [...params]));
    for (const name of Object.keys(this.#args)) {
      if (known.has(name)) continue;
      throw new Fault("target.argument", `there is no parameter ${show(name)}`, {
        hint: known.size === 0 ? "the targets asked for have none" : describeParams(known),
      });
    }
  }

  async #notATarget(asked: string, value: unknown, exported: boolean): Promise<Fault> {
    const names = (await listTargets(this.#exports)).map(({ name }) => name).filter(Boolean);
    const first = asked.split("/")[0] ?? "";
    if (exported) {
      const what = typeof value === "function" ? "a function; wrap it in target()" : show(value);
      const name = first === "" ? "the default export" : `"${first}"`;
      return new Fault("target.kind", `${name} in ${this.#file} is no target but ${what}`, {
        hint: suggestion("", names),
      });
    }
    if (first === "") {
      return new Fault("target.unknown", `${this.#file} has no default export to build`, {
        hint: suggestion("", names),
      });
    }
    return new Fault("target.unknown", `no target ${show(first)} in ${this.#file}`, {
      hint: suggestion(first, names),
    });
  }
}

function targetInfo(value: unknown): TargetInfo | undefined {
  return typeof value === "function" ? targetInfos.get(value) : undefined;
}

/** Whether the value, or what it promises, can be built. Groups must not be empty, nor hold anything else. */
async function isBuildable(value: unknown, depth = 0): Promise<boolean> {
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
async function membersOf(path: string, value: unknown): Promise<ReadonlyMap<string, unknown>> {
  if (value instanceof DerivationValue) return new Map(Object.entries(value.outputs));
  if (value instanceof PerSystemValue) return new Map(Object.entries(value.bySystem));
  if (Array.isArray(value)) return listMembers(path, value);
  return isPlainObject(value) ? new Map(Object.entries(value)) : new Map();
}

/** Members of a list go by the names of their derivations, which must tell them apart. */
async function listMembers(
  path: string,
  list: readonly unknown[],
): Promise<ReadonlyMap<string, unknown>> {
  const members = new Map<string, unknown>();
  for (const [i, promised] of list.entries()) {
    const member: unknown = await promised;
    const named = member instanceof DerivationValue || member instanceof OutputValue;
    const name = named ? member.name : String(i);
    const other = members.get(name);
    if (other !== undefined && other !== member) {
      const [place, otherPlace] = [placeOf(member), placeOf(other)];
      const group = path === "" ? "the default target" : `target "${path}"`;
      const before = otherPlace ? ` (the other one is made at ${printPlace(otherPlace)})` : "";
      throw new Fault("target.duplicate", `${group} has two members named ${show(name)}${before}`, {
        hint: "use an object to name them",
        place,
      });
    }
    members.set(name, member);
  }
  return members;
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
    for (const [key, member] of await membersOf(name, value)) {
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

/** The values of the command line that are this target's. */
function parseArgs(path: string, info: TargetInfo, given: GivenArgs): Record<string, unknown> {
  const parsed: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(given)) {
    const param = info.params.get(name);
    if (param === undefined) continue;
    const value = param.parse(text);
    if (value === undefined || !param.accepts(value)) {
      const saw = text === true ? "has no value" : `is ${show(text)}`;
      throw new Fault(
        "target.argument",
        `parameter ${name} of ${path || "the default target"} ${saw}`,
        {
          hint: `write ${param.wanted()}`,
        },
      );
    }
    parsed[name] = value;
  }
  return parsed;
}

/** `given` checked, with defaults for what is missing. */
function completeArgs(
  { params }: TargetInfo,
  given: Readonly<Record<string, unknown>>,
  path?: string,
): Record<string, unknown> {
  const target = path === undefined ? "target()" : path || "the default target";
  for (const [name, value] of Object.entries(given)) {
    const param = params.get(name);
    if (param === undefined) {
      const hint = describeParams(params);
      throw new Fault("target.argument", `${target} has no parameter ${show(name)}`, { hint });
    }
    if (value !== undefined && !param.accepts(value)) {
      throw new Fault("target.argument", `parameter ${name} of ${target} is ${show(value)}`, {
        hint: `write ${param.wanted()}`,
      });
    }
  }
  const complete: Record<string, unknown> = {};
  for (const [name, param] of params) {
    const value = given[name] ?? param.default;
    if (value === undefined) {
      throw new Fault("target.argument", `parameter ${name} of ${target} is not given`, {
        hint: path === undefined ? describeParams(params) : `--arg ${name}=… (${param.wanted()})`,
      });
    }
    complete[name] = value;
  }
  return complete;
}

function describeParams(
  params: ReadonlyMap<string, ParamValue<string | number | boolean>>,
): string {
  if (params.size === 0) return "it has none";
  return [...params].map(([name, param]) => `${name} (${param.wanted()})`).join(", ");
}

/** The name that was probably meant, and what else there is. */
function suggestion(
  wrong: string,
  names: readonly string[],
  write: (name: string) => string = (name) => `.#${name}`,
): string {
  const most = 12;
  const tops = names.filter((name) => !name.includes("/"));
  if (tops.length === 0) return "it has no targets: export a derivation";
  const meant = wrong === "" ? undefined : nearest(wrong, tops);
  const others = tops.filter((name) => name !== meant);
  const shown = others.slice(0, most).join(", ") + (others.length > most ? ", …" : "");
  if (meant === undefined) return `the targets are ${shown}`;
  return others.length === 0 ? write(meant) : `${write(meant)} (others: ${shown})`;
}
