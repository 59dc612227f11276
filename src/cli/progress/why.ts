/** Why things are built and not reused: a tree of reasons, from the targets down to what somebody changed. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ChangedSource, Reason, ReasonCode, ReasonDetail } from "../../build/events.ts";
import { compareTrees } from "../../files/compare-trees.ts";
import { objectNameOf, type StorePath } from "../../format/store-path.ts";
import { ago, list, shortID } from "../text.ts";
import { nameFromPath } from "./build-view.ts";
import type { Style } from "./style.ts";

/** Something that is to be made. */
export interface Made {
  readonly drvPath: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly reason: Reason | null;
}

export interface WhyOptions {
  readonly style: Style;
  /** The folder of the objects on this machine; undefined where they cannot be seen. */
  readonly realDirectory: string | undefined;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}

/** At most this many names in a line. */
const most = 3;

/** `made`: what is not reused. Each is explained once, below the first that needs it. */
export function whyLines(
  targets: readonly { readonly name: string; readonly drvPath: string }[],
  made: ReadonlyMap<string, Made>,
  options: WhyOptions,
): string[] {
  const rows: { readonly depth: number; readonly name: string; readonly text: string }[] = [];
  const seen = new Set<string>();
  const previous = new Set<string>();
  // Depth first with an own stack: chains can be long.
  const stack: { readonly drvPath: string; readonly name: string; readonly depth: number }[] =
    targets.map((target) => ({ ...target, depth: 0 })).toReversed();
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const { drvPath, name, depth } = top;
    const one = made.get(drvPath);
    if (one === undefined) {
      if (depth === 0) rows.push({ depth, name, text: "reused: nothing changed" });
      continue;
    }
    if (seen.has(drvPath)) continue;
    seen.add(drvPath);
    rows.push({ depth, name, text: `to build: ${reasonWords(one.reason)}` });
    const { detail } = one.reason ?? {};
    if (detail?.previous !== undefined) previous.add(detail.previous.buildID);
    for (const leaf of leaves(one, made, options)) rows.push({ ...leaf, depth: depth + 1 });
    for (const input of one.inputs.toReversed()) {
      if (made.has(input))
        stack.push({ drvPath: input, name: nameFromPath(input), depth: depth + 1 });
    }
  }
  const { branch } = options.style;
  const left = rows.map(({ depth, name }) =>
    depth === 0 ? name : `${"  ".repeat(depth - 1)}${branch} ${name}`,
  );
  const width = Math.min(40, Math.max(...left.map(({ length }) => length)));
  const lines = rows.map(({ text }, i) => `${(left[i] ?? "").padEnd(width)}  ${text}`);
  return previous.size === 0 ? lines : [...lines, comparison([...previous], options.now)];
}

function comparison(previous: readonly string[], now: number): string {
  const builds = previous.map((id) => `build ${shortID(id)}, ${ago(now - timeOf(id))}`);
  const noun = builds.length === 1 ? "the realisation of" : "realisations of";
  return `compared with ${noun} ${list(builds, most)}`;
}

/** A build's id begins with the time of its start. */
function timeOf(buildID: string): number {
  return Number.parseInt(buildID.replace("-", "").slice(0, 12), 16);
}

/** Sources that changed, and inputs that are others now but need not be built. */
function leaves(
  { inputs, reason }: Made,
  made: ReadonlyMap<string, Made>,
  options: WhyOptions,
): { name: string; text: string }[] {
  const detail = reason?.detail;
  const sources = (detail?.sources ?? []).map((source) => ({
    name: source.name,
    text: sourceWords(source, options),
  }));
  const explained = new Set([
    ...sources.map(({ name }) => name),
    ...inputs.filter((input) => made.has(input)).map(nameFromPath),
  ]);
  const others = (detail?.inputs ?? []).filter((name) => !explained.has(name));
  return [...sources, ...others.map((name) => ({ name, text: "another one than before" }))];
}

/** `2 files differ: src/greet.ts (changed), src/extra.ts (added)` */
function sourceWords({ was, is }: ChangedSource, { realDirectory }: WhyOptions): string {
  const place = (path: StorePath): string => join(realDirectory ?? "/", objectNameOf(path));
  if (realDirectory === undefined || !existsSync(place(was)) || !existsSync(place(is))) {
    return `changed; it was ${was}`;
  }
  const differences = [...compareTrees(place(was), place(is)).take(1000)];
  const [only] = differences;
  if (only?.path === ".") return `changed: ${only.details.join(", ")}`;
  const noun = differences.length === 1 ? "1 file differs" : `${differences.length} files differ`;
  return `${noun}: ${list(
    differences.map(({ path, kind }) => `${path} (${kind})`),
    most,
  )}`;
}

type Words = (detail: ReasonDetail) => string;

const words: Readonly<Record<ReasonCode, Words>> = {
  neverRealised: () => "never built with success",
  inputChanged: inputWords,
  derivationChanged: (detail) => {
    const { inputs = [], changes = [] } = detail;
    if (changes.length === 0) return "its description changed";
    // What is not said with its old and new value only has a name.
    const own = list(
      changes.map((change) => (change.includes(" -> ") ? change : `${change} changed`)),
      most,
    );
    return inputs.length === 0 ? own : `${inputWords(detail)}, and ${own}`;
  },
  outputMissing: (detail) => `its output is gone${paths(detail)}`,
  cleanAsked: () => "a clean build was asked for",
  checkAsked: () => "a check was asked for",
  incompatibleClosure: (detail) =>
    `what is there does not fit the rest of this build${paths(detail)}`,
  untrusted: (detail) => `what is there is not signed by a trusted key${paths(detail)}`,
};

/** `an input changed, and env.CFLAGS "-O1" -> "-O2"` */
function reasonWords(reason: Reason | null): string {
  if (reason === null) return "it is not there";
  const { code, detail = {} } = reason;
  // A daemon that is newer may know others.
  return Object.hasOwn(words, code) ? words[code](detail) : code;
}

function inputWords({ inputs = [] }: ReasonDetail): string {
  return inputs.length > 1 ? `${inputs.length} inputs changed` : "an input changed";
}

function paths({ paths: all = [] }: ReasonDetail): string {
  return all.length === 0 ? "" : `: ${list(all, 1)}`;
}
