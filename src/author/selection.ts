/** From the names of targets to derivations. */
import { context } from "./context.ts";
import { Fault, nearest, show } from "./fault.ts";
import { completeArgs, describeParams, parseArgs, type GivenArgs } from "./params.ts";
import {
  checkNames,
  isBuildable,
  listTargets,
  membersOf,
  PerSystemValue,
  targetInfo,
  type TargetInfo,
} from "./targets.ts";
import { DerivationValue, OutputValue, SourceValue, type DerivationItem } from "./values.ts";

/** A derivation that was asked for, or one output of it. */
export interface Wanted {
  /** As it was asked for. */
  readonly target: string;
  readonly name: string;
  readonly item: DerivationItem;
  readonly output?: string;
}

/** How messages speak of a build file. */
export interface BuildFilePlace {
  readonly file: string;
  /** What stands before the `#` of a target. */
  readonly location: string;
}

/** Finds targets in the exports of one build file. */
export class Selection {
  readonly #exports: Readonly<Record<string, unknown>>;
  readonly #place: BuildFilePlace;
  readonly #args: GivenArgs;
  readonly #made = new Map<TargetInfo, unknown>();
  readonly #wanted: Wanted[] = [];

  constructor(exports: Readonly<Record<string, unknown>>, place: BuildFilePlace, args: GivenArgs) {
    this.#exports = exports;
    this.#place = place;
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
    await checkNames(path, whole);
    const members = await membersOf(whole);
    if (members.has(part)) return members.get(part);
    const at = path === "" ? "the default target" : `target "${path}"`;
    const names = [...members.keys()];
    if (names.length === 0)
      throw new Fault("target.unknown", `${at} has no parts, so no ${show(part)}`);
    throw new Fault("target.unknown", `${at} has no part ${show(part)}`, {
      hint: suggestion(part, names, (name) => `.#${path}/${name}`, "part"),
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
      const given = parseArgs(path, info.params, this.#args);
      this.#made.set(info, info.make(completeArgs(info.params, given, path)));
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
      await checkNames(path, opened);
      for (const [key, member] of await membersOf(opened)) {
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
    const { file, location } = this.#place;
    const write = (name: string): string => `${location}#${name}`;
    if (exported) {
      const what = kindOf(value);
      const name = first === "" ? "the default export" : `"${first}"`;
      return new Fault("target.kind", `${name} in ${file} is no target but ${what}`, {
        hint: suggestion("", names, write),
      });
    }
    if (first === "") {
      const tops = names.filter((name) => !name.includes("/"));
      return new Fault("target.unknown", `${file} has no default export to build`, {
        hint: suggestion(tops[0] ?? "", names, (name) => `kiln build ${write(name)}`),
      });
    }
    const unknown = `no target ${show(first)} in ${file}`;
    const asPart = first.replaceAll(".", "/"); // as a build file names an output: `lib.dev`
    if (asPart !== first && names.includes(asPart.split("/")[0] ?? ""))
      return new Fault("target.unknown", unknown, { hint: write(asPart) });
    const owner = await this.#exportOf(first);
    return new Fault("target.unknown", unknown, {
      hint:
        owner === undefined
          ? suggestion(first, names, write)
          : `the derivation of that name is ${owner === "default" ? location : write(owner)}`,
    });
  }

  /** The export that is a derivation of this name: that is what people see while it is built. */
  async #exportOf(derivationName: string): Promise<string | undefined> {
    for (const [key, value] of Object.entries(this.#exports)) {
      const awaited = await value;
      if (awaited instanceof DerivationValue && awaited.name === derivationName) return key;
    }
    return undefined;
  }
}

/** What an export is that is no target. */
function kindOf(value: unknown): string {
  if (typeof value === "function") return "a function; wrap it in target()";
  if (value instanceof SourceValue) return "a source, which is there already: nothing builds it";
  return show(value);
}

/** The name that was probably meant, and what else there is. */
function suggestion(
  wrong: string,
  names: readonly string[],
  write: (name: string) => string,
  what: "target" | "part" = "target",
): string {
  const most = 12;
  const tops = names.filter((name) => !name.includes("/"));
  if (tops.length === 0) return "it has no targets: export a derivation";
  const meant = wrong === "" ? undefined : nearest(wrong, tops);
  const others = tops.filter((name) => name !== meant);
  const shown = others.slice(0, most).join(", ") + (others.length > most ? ", …" : "");
  if (meant === undefined && others.length === 1) return `the only ${what} is ${write(shown)}`;
  if (meant === undefined) return `the ${what}s are ${shown}`;
  return others.length === 0 ? write(meant) : `${write(meant)} (others: ${shown})`;
}
