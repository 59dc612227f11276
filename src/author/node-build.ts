/** Builders written in TypeScript, and the Node they run on. */
import { Buffer } from "node:buffer";
import { readFileSync, realpathSync } from "node:fs";
import { basename } from "node:path";
import { dumpNar } from "../files/dump.ts";
import { describe, type DerivationOptions } from "./describe.ts";
import { show } from "./fault.ts";
import { callerPlace } from "./place.ts";
import { readItem } from "./read-item.ts";
import { textSource } from "./texts.ts";
import { wrong } from "./strings.ts";
import { narOf, type Folder } from "./tree.ts";
import { SourceValue, type DerivationValue, type Source } from "./values.ts";
import { walk, type WalkedEntry } from "./walk.ts";

/** What a build script is called with. */
export interface BuildContext<A = unknown> {
  /** As the build file gave it; things that print as paths are the paths now. */
  attrs: A;
  /** Where the output `out` belongs, or the first one if there is no `out`. */
  out: string;
  /** Where each output belongs. */
  outputs: Record<string, string>;
  args: string[];
  /** An empty folder to work in. */
  work: string;
}

/** A derivation whose builder is a script for Node. */
export interface NodeBuildOptions<O extends string = "out"> extends Omit<
  DerivationOptions<O>,
  "builder" | "system"
> {
  /** A module whose default export is called with a {@link BuildContext}; `.ts` will do. */
  readonly script: Source;
  /** Switches for Node, before the script. */
  readonly nodeArgs?: readonly string[];
}

let runtime: SourceValue | undefined;
let entry: SourceValue | undefined;

/** The derivation that runs the script on {@link nodeRuntimeSource}. */
export function nodeBuildDerivation(options: NodeBuildOptions<string>): DerivationValue {
  const { script, nodeArgs = [], args = [], ...rest } = options;
  const label = `nodeBuild ${show(options.name)}`;
  if (!(script instanceof SourceValue)) {
    throw wrong(
      { label, place: callerPlace() },
      `script is ${show(script)}`,
      'path("./script.ts")',
    );
  }
  if ("builder" in rest || "system" in rest) {
    throw wrong({ label, place: callerPlace() }, "builder and system are Node's own");
  }
  if (!Array.isArray(nodeArgs) || !Array.isArray(args)) {
    throw wrong({ label, place: callerPlace() }, "args and nodeArgs must be lists");
  }
  const node = nodeRuntimeSource().toString();
  entry ??= textSource("kiln-builder-1.mjs", builderMain());
  const loader = loaderOf(libraries());
  const start =
    loader === undefined
      ? { builder: `${node}/bin/node`, args: [] }
      : {
          builder: `${node}/lib/${loader}`,
          args: ["--argv0", "node", "--library-path", `${node}/lib`, `${node}/bin/node`],
        };
  return describe({
    ...rest,
    builder: start.builder,
    args: [...start.args, ...nodeArgs, entry, script, ...args],
  });
}

/**
 * The running Node as `bin/node` and the libraries it has loaded as `lib/*`, the loader among them. With it Node runs where
 * nothing else is.
 */
export function nodeRuntimeSource(): SourceValue {
  const place = callerPlace();
  runtime ??= new SourceValue("node", () => {
    const folder: Folder = new Map();
    const entries: WalkedEntry[] = [];
    const add = (file: string, into: string, name: string): void => {
      const real = realpathSync(file);
      for (const found of walk(real)) entries.push({ ...found, path: `${into}/${name}` });
      const parent = folder.get(into) ?? new Map();
      folder.set(into, parent);
      if (parent instanceof Map) parent.set(name, { nar: () => dumpNar(real) });
    };
    add(process.execPath, "bin", "node");
    for (const library of libraries()) add(library, "lib", basename(library));
    const label = "nodeRuntime()";
    const key = `node ${process.execPath}`;
    return readItem({ label, place, name: "node", key, entries, nar: () => narOf(folder) });
  });
  return runtime;
}

let found: readonly string[] | undefined;

/** The shared libraries of this process. Only Linux has them as files of their own. */
function libraries(): readonly string[] {
  if (found !== undefined) return found;
  if (process.platform !== "linux") return [];
  // Without it the report looks up the names of network peers.
  Object.assign(process.report, { excludeNetwork: true });
  const report = process.report.getReport() as { sharedObjects?: readonly string[] };
  // The kernel's own (linux-vdso.so.1) has no file. Addons would be files of the project, no part of Node.
  found = (report.sharedObjects ?? []).filter((file) => /^\/.*\.so(?:\.[0-9.]+)?$/.test(file));
  return found;
}

function loaderOf(files: readonly string[]): string | undefined {
  return files.map((file) => basename(file)).find((name) => /^ld-(?:linux|musl)/.test(name));
}

function builderMain(): string {
  return Buffer.from(readFileSync(new URL("builder-main.mjs", import.meta.url))).toString("utf8");
}
