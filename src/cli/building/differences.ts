/** What a check found: which outputs came out different, and in which files. */
import { compareTrees, type Difference } from "../../files/compare-trees.ts";
import { digestOf, parseStorePath } from "../../format/store-path.ts";
import type { StoreConnection } from "../connection.ts";
import type { BuildView, ResultView } from "../progress/build-view.ts";
import { list, number } from "../text.ts";
import { placeOf, type ShownBuild } from "./shown-build.ts";

/** At most this many differences are looked for. */
const most = 1000;

/** `before` is the build whose outputs the check had to find again. */
export async function sayDifferences(
  shown: ShownBuild,
  before: BuildView,
  connection: StoreConnection,
): Promise<void> {
  for (const { drvPath, name } of shown.view.targets) {
    const result = shown.view.result(drvPath);
    if (result === undefined) continue;
    if (result.state === "built") shown.note(`${name} came out the same`);
    else if (result.state === "reused")
      shown.note(`${name} was not built again: its inputs are new`);
    else if (result.failure?.code === "check.differs") {
      await sayOutputs(shown, { before: before.result(drvPath), now: result }, connection);
    }
  }
}

async function sayOutputs(
  shown: ShownBuild,
  { before, now }: { readonly before: ResultView | undefined; readonly now: ResultView },
  connection: StoreConnection,
): Promise<void> {
  for (const { name, path } of now.outputs) {
    const was = before?.outputs.find((output) => output.name === name)?.path;
    if (path === null || was === undefined || was === null || was === path) continue;
    const output = name === "out" ? now.name : `${now.name}.${name}`;
    for (const line of await differenceLines(output, [was, path], connection)) shown.line(line);
  }
}

async function differenceLines(
  output: string,
  [was, is]: readonly [string, string],
  connection: StoreConnection,
): Promise<string[]> {
  const [old, now] = [placeOf(connection, was), placeOf(connection, is)];
  const facts = [...(await references([was, is], connection)), fact("was", was), fact("is", is)];
  if (old === undefined || now === undefined) return [`kiln: ${output} differs`, ...facts];
  const alias = [digestOf(parseStorePath(was)), digestOf(parseStorePath(is))] as const;
  const [first, ...others] = [...compareTrees(old, now, alias).take(most)];
  if (first === undefined) return [`kiln: ${output} differs in its references`, ...facts];
  const found = others.length + 1;
  const many =
    found === 1
      ? "1 difference"
      : `${number(found)}${found === most ? " or more" : ""} differences`;
  return [
    `kiln: ${output}: ${many}`,
    fact("first", described(first)),
    ...(others.length > 0
      ? [
          fact(
            "also",
            list(
              others.map(({ path, kind }) => `${path} (${kind})`),
              3,
            ),
          ),
        ]
      : []),
    ...facts,
    fact("try", `diff -r ${old} ${now}`),
  ];
}

function described({ path, kind, details }: Difference): string {
  return `${path} ${details.length === 0 ? `is ${kind}` : details.join(", ")}`;
}

/** References that only one of them has. */
async function references(
  [was, is]: readonly [string, string],
  { client }: StoreConnection,
): Promise<string[]> {
  const [before, after] = await Promise.all(
    [was, is].map(async (text) => {
      const path = parseStorePath(text);
      const { info } = await client.call("zb.info", { path });
      return new Set(info?.references.filter((reference) => reference !== path));
    }),
  );
  const gone = [...(before ?? [])].filter((path) => after?.has(path) !== true);
  const come = [...(after ?? [])].filter((path) => before?.has(path) !== true);
  if (gone.length + come.length === 0) return [];
  return [
    fact(
      "references",
      [...gone.map((path) => `-${path}`), ...come.map((path) => `+${path}`)].join(" "),
    ),
  ];
}

function fact(name: string, value: string): string {
  return `  ${name.padEnd(11)}  ${value}`;
}
