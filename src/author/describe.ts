/**
 * From the options of `derivation()` to a derivation: what is checked, what goes into env beside the user's own entries, and what
 * becomes an input. The same description gives the same bytes as zb's front end.
 */
import { sortedSet } from "../util/byte-string.ts";
import {
  outputPathOf,
  sortedMap,
  type Derivation,
  type DerivationOutput,
} from "../format/derivation/derivation.ts";
import { ownPlaceholder } from "../format/derivation/placeholders.ts";
import { derivationObject } from "../format/derivation/print.ts";
import { maxNameLength, type StorePath } from "../format/store-path.ts";
import { attrsEntries } from "./attrs.ts";
import { context, type System } from "./context.ts";
import { nearest, show } from "./fault.ts";
import { fileNar } from "./item.ts";
import { noInputs, type Inputs } from "./placeholders.ts";
import { describeOutputs, writtenByKiln } from "./outputs.ts";
import { callerPlace } from "./place.ts";
import { checkSizes } from "./sizes.ts";
import {
  checkName,
  checkOptions,
  listString,
  valueString,
  wrong,
  type Subject,
} from "./strings.ts";
import { DerivationValue, isPrintable, type DerivationItem } from "./values.ts";
import type { Derivation as DerivationView, Output, Source, Value } from "./values.ts";

/** What makes a derivation. */
export interface DerivationOptions<O extends string = "out"> {
  /** 1 to 207 of `a-z A-Z 0-9 + - . _ =`. Names the outputs' store objects too. */
  readonly name: string;
  /** What the builder runs on; default: {@link currentSystem}. */
  readonly system?: System;
  /** The program that makes the outputs: an absolute path in the build, or `builtin:…`. */
  readonly builder: string | Source | DerivationView | Output;
  readonly args?: readonly Value[];
  /**
   * Environment variables. undefined leaves an entry out. Names that Kiln writes itself are refused: name, system, builder, args,
   * attrs, outputs, outputHash, outputHashMode, the names of the outputs, and all that begin with `__`.
   */
  readonly env?: Readonly<Record<string, Value | readonly Value[] | undefined>>;
  /** Any JSON value for the builder; things that print as paths may be anywhere in it. Arrives in env as `attrs`, `attrs1`, … to be joined. */
  readonly attrs?: unknown;
  /** Default: one output, `out`. If given, env has the entry `outputs`. */
  readonly outputs?: readonly [O, ...O[]];
  /** Of an output whose content is known beforehand: `type:base16`, `type:base32`, `type:base64` or `type-base64`. */
  readonly hash?: string;
  /**
   * What `hash` is of: the file's bytes (`flat`, the default) or its NAR. Recursive sha256 is zb's own hash and not Nix's:
   * SHA-256 of the NAR followed by `|`.
   */
  readonly hashMode?: "flat" | "recursive";
  /** Paths of the host the build may see; the store must offer each. */
  readonly systemDeps?: readonly string[];
  /** Whether the build may use the network; default: no. */
  readonly network?: boolean;
}

const optionNames = [
  "name",
  "system",
  "builder",
  "args",
  "env",
  "attrs",
  "outputs",
  "hash",
  "hashMode",
  "systemDeps",
  "network",
];

/** The name of the derivation's own object ends in `.drv`. */
const maxDerivationName = maxNameLength - ".drv".length;
const known = new Map<StorePath, DerivationValue>();

/** The derivation described by `options`; equal descriptions give the same value. Throws a Fault at the caller's line. */
export function describe(options: DerivationOptions<string>): DerivationValue {
  const subject: Subject = { label: labelOf(options), place: callerPlace(), inputs: noInputs() };
  checkOptions(subject, options, optionNames, nearest);
  const { name } = options;
  checkName(subject, name, maxDerivationName);
  const outputs = describeOutputs(subject, options);
  const { storeDirectory, system: currentSystem } = context();
  const system = options.system ?? currentSystem;
  if (typeof system !== "string" || system === "") {
    throw wrong(subject, `system is ${show(system)}`, 'write one like "x86_64-linux"');
  }
  const builder = describeBuilder(subject, options.builder);
  const args = describeArgs(subject, options.args);
  const skeleton = { directory: storeDirectory, name, system, builder, args, outputs };

  const env = new Map([
    ["name", name],
    ["system", valueString(subject, system, "system")],
    ["builder", builder],
  ]);
  if (options.args !== undefined) env.set("args", args.join(" "));
  addOutputs(env, skeleton, options);
  for (const [key, value] of describeAttrs(subject, options.attrs)) env.set(key, value);
  addHostAccess(subject, env, options);
  addEnvironment(subject, env, options.env ?? {}, outputs);
  checkSizes(subject, env, args);
  return intern(subject, { ...skeleton, env: sortedMap(env), ...inputsOf(subject.inputs) });
}

function labelOf(options: { readonly name?: unknown } | null | undefined): string {
  const name = options?.name;
  return typeof name === "string" ? `derivation ${show(name)}` : "derivation()";
}

function describeBuilder(subject: Subject, value: unknown): string {
  if (typeof value !== "string" && !isPrintable(value)) {
    throw wrong(subject, `builder is ${show(value)}`, "name the program that makes the output");
  }
  const builder = valueString(subject, value, "builder");
  // A placeholder begins with a slash as the path does that takes its place.
  if (builder.startsWith("/") || builder.startsWith("builtin:")) return builder;
  throw wrong(subject, `builder is ${show(builder)}; it must be an absolute path`);
}

function describeArgs(subject: Subject, args: unknown): readonly string[] {
  if (args === undefined) return [];
  if (!Array.isArray(args)) throw wrong(subject, `args is ${show(args)}, not a list`);
  return args.map((arg, i) => valueString(subject, arg, `args[${i}]`));
}

function describeAttrs(subject: Subject, attrs: unknown): Iterable<[string, string]> {
  return attrs === undefined ? [] : attrsEntries(subject, attrs);
}

function addOutputs(
  env: Map<string, string>,
  skeleton: Pick<Derivation, "directory" | "name" | "outputs">,
  options: DerivationOptions<string>,
): void {
  if (options.hash !== undefined) env.set("outputHash", options.hash);
  if (options.hashMode !== undefined) env.set("outputHashMode", options.hashMode);
  if (options.outputs !== undefined) env.set("outputs", options.outputs.join(" "));
  for (const output of skeleton.outputs.keys()) {
    env.set(output, outputPathOf(skeleton, output) ?? ownPlaceholder(output));
  }
}

function addHostAccess(
  subject: Subject,
  env: Map<string, string>,
  { systemDeps, network }: DerivationOptions<string>,
): void {
  if (systemDeps !== undefined) {
    if (!Array.isArray(systemDeps)) {
      throw wrong(subject, `systemDeps is ${show(systemDeps)}, not a list`);
    }
    for (const [i, path] of systemDeps.entries()) {
      if (typeof path !== "string" || !/^\/\S*$/.test(path)) {
        throw wrong(
          subject,
          `systemDeps[${i}] is ${show(path)}, not an absolute path without blanks`,
        );
      }
    }
    env.set("__buildSystemDeps", systemDeps.join(" "));
  }
  if (network !== undefined && typeof network !== "boolean") {
    throw wrong(subject, `network is ${show(network)}, not true or false`);
  }
  if (network === true) env.set("__network", "1");
}

function addEnvironment(
  subject: Subject,
  env: Map<string, string>,
  given: unknown,
  outputs: ReadonlyMap<string, DerivationOutput>,
): void {
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw wrong(subject, `env is ${show(given)}, not an object`);
  }
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (key === "" || /[=\0]/.test(key)) {
      throw wrong(subject, `env has the name ${show(key)}, which no variable can have`);
    }
    if (writtenByKiln.test(key) || outputs.has(key)) {
      throw wrong(subject, `env.${key} is written by Kiln itself`, adviceForTaken(key, outputs));
    }
    env.set(key, listString(subject, value, `env.${key}`));
  }
}

function adviceForTaken(key: string, outputs: ReadonlyMap<string, unknown>): string {
  if (outputs.has(key)) return "it says where the output belongs; choose another name";
  if (key === "outputHash") return "use the option hash";
  if (key === "outputHashMode") return "use the option hashMode";
  if (key === "__buildSystemDeps") return "use the option systemDeps";
  if (key === "__network") return "use the option network";
  if (optionNames.includes(key)) return `use the option ${key}`;
  return "choose another name";
}

function inputsOf({
  outputs,
  objects,
}: Inputs): Pick<Derivation, "inputDerivations" | "inputSources"> {
  return {
    inputDerivations: sortedMap(
      Array.from(outputs, ([path, { names }]) => [path, sortedSet(names)] as const),
    ),
    inputSources: sortedSet(objects.keys()),
  };
}

function intern(subject: Subject, derivation: Derivation): DerivationValue {
  const { path, contents, ca, references } = derivationObject(derivation);
  const existing = known.get(path);
  if (existing !== undefined) return existing;
  const { label, place, inputs } = subject;
  const item: DerivationItem = {
    path,
    references: references.flatMap(
      (input) => inputs.objects.get(input) ?? inputs.outputs.get(input)?.item ?? [],
    ),
    label,
    place,
    content: { ca, nar: () => [fileNar(contents)] },
    derivationName: derivation.name,
    outputs: new Map(
      Array.from(derivation.outputs.keys(), (name) => [name, outputPathOf(derivation, name)]),
    ),
  };
  const value = new DerivationValue(item);
  known.set(path, value);
  return value;
}
