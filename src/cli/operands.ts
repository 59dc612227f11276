/** What people write to name what they want: `FILE|DIR[#TARGET[/PART…]]` or `PATH.drv`. Pure but for a look at which files there are. */
import { KilnError } from "../util/kiln-error.ts";

export type Operand =
  /** A target of a build file; `""` is the default one. */
  | {
      readonly type: "target";
      readonly text: string;
      readonly file: string;
      readonly target: string;
    }
  /** A derivation's file, in the store or elsewhere. */
  | { readonly type: "derivation"; readonly text: string; readonly path: string };

/** `exists` tells whether there is a file of this name: a name may have a `#` of its own. */
export function parseOperand(text: string, exists: (path: string) => boolean): Operand {
  const hash = exists(text) ? -1 : text.lastIndexOf("#");
  if (hash < 0 && text.endsWith(".drv")) return { type: "derivation", text, path: text };
  const file = hash < 0 ? text : text.slice(0, hash);
  const target = hash < 0 ? "" : text.slice(hash + 1);
  return { type: "target", text, file: file === "" ? "." : file, target };
}

/** `NAME=VALUE` or `NAME` of --arg, several of them. */
export function parseArguments(args: readonly string[]): Readonly<Record<string, string | true>> {
  const values: [string, string | true][] = args.map((text) => {
    const equals = text.indexOf("=");
    const name = equals < 0 ? text : text.slice(0, equals);
    if (name === "") {
      throw new KilnError("usage.value", `--arg ${text}: a name is missing`, {
        hint: "--arg NAME=VALUE",
      });
    }
    return [name, equals < 0 ? true : text.slice(equals + 1)];
  });
  return Object.fromEntries(values);
}
