/** Parameters of targets: what a build can be told from outside. */
import { Fault, show } from "./fault.ts";

/** A parameter of a {@link target}. */
export interface Param<T> {
  /** Its value when it is not given; without one it must be. */
  readonly default?: T;
  /** The same parameter with a sentence about it, for `kiln targets`. */
  doc(text: string): Param<T>;
}

export type ParameterKind = "string" | "flag" | "integer" | "choice";

export class ParamValue<T extends string | number | boolean> implements Param<T> {
  declare readonly default?: T;
  readonly kind: ParameterKind;
  readonly choices: readonly string[];
  readonly text: string | undefined;

  constructor(
    kind: ParameterKind,
    byDefault: T | undefined,
    choices: readonly string[] = [],
    text?: string,
  ) {
    this.kind = kind;
    this.choices = choices;
    this.text = text;
    if (byDefault !== undefined) this.default = byDefault;
    if (byDefault !== undefined && !this.accepts(byDefault)) {
      throw new Fault(
        "author.option",
        `param.${kind}(): the default is ${show(byDefault)}, not ${this.wanted()}`,
      );
    }
    Object.freeze(this);
  }

  doc(text: string): ParamValue<T> {
    return new ParamValue(this.kind, this.default, this.choices, text);
  }

  /** Whether a build file may give this value. */
  accepts(value: unknown): value is T {
    return kinds[this.kind].accepts(value, this.choices);
  }

  /** The value that a person wrote; undefined when it is none. `true`: the name alone was given. */
  parse(text: string | true): unknown {
    return kinds[this.kind].parse(text);
  }

  /** What its values are, for messages. */
  wanted(): string {
    return kinds[this.kind].wanted(this.choices);
  }
}

interface Kind {
  accepts(value: unknown, choices: readonly string[]): boolean;
  parse(text: string | true): unknown;
  wanted(choices: readonly string[]): string;
}

const textKind: Kind = {
  accepts: (value) => typeof value === "string",
  parse: (text) => (text === true ? undefined : text),
  wanted: () => "a text",
};

const kinds: Readonly<Record<ParameterKind, Kind>> = {
  string: textKind,
  choice: {
    ...textKind,
    accepts: (value, choices) => choices.some((choice) => choice === value),
    wanted: (choices) => `one of ${choices.join(", ")}`,
  },
  flag: {
    accepts: (value) => typeof value === "boolean",
    parse: (text) => (text === true ? true : { true: true, false: false }[text]),
    wanted: () => "true or false",
  },
  integer: {
    accepts: (value) => Number.isSafeInteger(value),
    parse: (text) => (text !== true && /^-?[0-9]{1,16}$/.test(text) ? Number(text) : undefined),
    wanted: () => "a whole number",
  },
};

export function choiceParam<const C extends string>(
  choices: readonly [C, ...C[]],
  byDefault?: C,
): Param<C>;
export function choiceParam(choices: unknown, byDefault?: string): unknown {
  const isList = Array.isArray(choices) && choices.length > 0;
  if (!isList || !choices.every((choice): choice is string => typeof choice === "string")) {
    throw new Fault("author.option", "param.choice(): the choices are no list of texts");
  }
  return new ParamValue("choice", byDefault, Object.freeze([...choices]));
}

/** The parameters of a target by name. */
export type Params = ReadonlyMap<string, ParamValue<string | number | boolean>>;

/** The arguments of the command line: `true` for a name without a value. */
export type GivenArgs = Readonly<Record<string, string | true>>;

/** The values of the command line that are this target's. */
export function parseArgs(path: string, params: Params, given: GivenArgs): Record<string, unknown> {
  const parsed: Record<string, unknown> = {};
  for (const [name, text] of Object.entries(given)) {
    const param = params.get(name);
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
export function completeArgs(
  params: Params,
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

/** All of them in one line, for messages. */
export function describeParams(params: Params): string {
  if (params.size === 0) return "it has none";
  return [...params].map(([name, param]) => `${name} (${param.wanted()})`).join(", ");
}
