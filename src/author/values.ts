/** The values a build file handles: sources, derivations and their outputs. */
import { Fault } from "./fault.ts";
import type { StoreItem } from "./item.ts";
import {
  answerForMissing,
  namesOfOutputs,
  noMember,
  noOutput,
  refuseMissing,
} from "./missing-members.ts";
import { printObject, printOutput } from "./placeholders.ts";
import { callerPlace, type Place } from "./place.ts";
import type { StorePath } from "../format/store-path.ts";

/**
 * What may stand in args and env. true is "1", false is ""; numbers must be safe integers (write others as strings); lists are
 * joined by one blank, without quoting or nesting.
 */
export type Value = string | number | boolean | Source | Derivation | Output;

/** Something whose path goes into strings: printing gives a placeholder that becomes the path where it is used. */
export interface Printable {
  /** The name part of its store path. */
  readonly name: string;
  /** The placeholder that stands for the path: what makes the value a dependency wherever it is put into a string. */
  toString(): string;
  /** The same placeholder. */
  toJSON(): string;
}

/** A store object that is known before any build: imported files, texts, trees, derivations as files. */
export interface Source extends Printable {
  /** Its store path. Never put this into a string that a build uses: the dependency would be lost. Use the source itself. */
  readonly storePath: string;
}

/** One output of a derivation. */
export interface Output extends Printable {
  readonly derivation: Derivation;
  /** `out`, unless the derivation has others. */
  readonly outputName: string;
}

/** What is to be built. Prints as its output `out`; without one, printing throws and names the outputs. */
export interface Derivation extends Printable {
  /** The `.drv` file itself as an input. */
  readonly drvPath: Source;
  /** By name. Asking for one that there is not is a fault; `"dev" in outputs` tells whether there is. */
  readonly outputs: Readonly<Record<string, Output>>;
}

/** A derivation whose outputs are known by name. */
export type DerivationOf<O extends string> = Derivation & { readonly [K in O]: Output };

/** How `console.log` shows values of a class. */
function showAs<T extends object>(prototype: T, show: (value: T) => string): void {
  Object.defineProperty(prototype, Symbol.for("nodejs.util.inspect.custom"), {
    value(this: T): string {
      return show(this);
    },
  });
}

export class SourceValue implements Source {
  readonly name: string;
  #item: StoreItem | (() => StoreItem);
  #text: string | undefined;

  /** A function is called when the object is first needed, and once. */
  constructor(name: string, item: StoreItem | (() => StoreItem)) {
    this.name = name;
    this.#item = item;
    Object.freeze(this);
  }

  get item(): StoreItem {
    if (typeof this.#item === "function") this.#item = this.#item();
    return this.#item;
  }

  get storePath(): StorePath {
    return this.item.path;
  }

  toString(): string {
    return (this.#text ??= printObject(this.item));
  }

  toJSON(): string {
    return this.toString();
  }

  static {
    showAs(this.prototype, (value) => `source ${value.storePath}`);
    refuseMissing(this.prototype, ({ name }, member) => noMember("source", name, member));
  }
}

/** A derivation's file and what can be told of its outputs. */
export interface DerivationItem extends StoreItem {
  /** The derivation's own name, without `.drv`. */
  readonly derivationName: string;
  /** By name: where a fixed output is, undefined for a floating one. In the order they were given. */
  readonly outputs: ReadonlyMap<string, StorePath | undefined>;
}

export class DerivationValue implements Derivation {
  readonly name: string;
  readonly drvPath: SourceValue;
  readonly outputs: Readonly<Record<string, OutputValue>>;
  readonly #item: DerivationItem;

  constructor(item: DerivationItem) {
    this.name = item.derivationName;
    this.#item = item;
    this.drvPath = new SourceValue(`${item.derivationName}.drv`, item);
    const names = [...item.outputs.keys()];
    const outputs = Object.freeze(
      Object.fromEntries(names.map((name) => [name, new OutputValue(this, name)])),
    );
    this.outputs = answerForMissing(outputs, (_, asked) => noOutput(this.name, names, asked));
    Object.freeze(Object.assign(this, outputs));
  }

  get item(): DerivationItem {
    return this.#item;
  }

  toString(): string {
    if (!this.#item.outputs.has("out")) throw withoutOut(this);
    return String(this.outputs["out"]);
  }

  toJSON(): string {
    return this.toString();
  }

  static {
    showAs(this.prototype, (value) => `derivation ${value.#item.path}`);
    refuseMissing(this.prototype, ({ name, item }, asked) =>
      noOutput(name, [...item.outputs.keys()], asked),
    );
  }
}

export class OutputValue implements Output {
  readonly name: string;
  readonly derivation: DerivationValue;
  readonly outputName: string;
  #text: string | undefined;

  constructor(derivation: DerivationValue, outputName: string) {
    this.derivation = derivation;
    this.outputName = outputName;
    this.name = outputName === "out" ? derivation.name : `${derivation.name}-${outputName}`;
    Object.freeze(this);
  }

  toString(): string {
    const { item } = this.derivation;
    this.#text ??= printOutput(item, this.outputName, item.outputs.get(this.outputName));
    return this.#text;
  }

  toJSON(): string {
    return this.toString();
  }

  static {
    showAs(this.prototype, (value) => `output ${value.derivation.item.path}!${value.outputName}`);
    refuseMissing(this.prototype, ({ name }, member) => noMember("output", name, member));
  }
}

/** Whether `value` is one of the things that print as a placeholder. */
export function isPrintable(value: unknown): value is SourceValue | DerivationValue | OutputValue {
  return (
    value instanceof SourceValue || value instanceof DerivationValue || value instanceof OutputValue
  );
}

function withoutOut(derivation: DerivationValue, place: Place | undefined = callerPlace()): Fault {
  const names = Object.keys(derivation.outputs);
  return new Fault(
    "author.output",
    `derivation "${derivation.name}" has no output "out" to stand in a string; ${namesOfOutputs(names)}`,
    { hint: `write .${names[0]} behind it`, place },
  );
}
