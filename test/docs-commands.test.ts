// Every `kiln` command line in the documents is one that Kiln understands, and what they link to is there.
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { flagsOf, normalizeArguments } from "../src/cli/arguments.ts";
import { Interrupts } from "../src/cli/interrupts.ts";
import { makeProgram } from "../src/cli/program.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const { root: program } = makeProgram({
  env: {},
  interrupts: new Interrupts(() => {}),
  note: () => {},
});

/** Command lines in a document: in blocks for the shell, and in code spans that begin with `kiln` or `bin/kiln`. */
function commandLines(text: string): string[] {
  const blocks = [...text.matchAll(/^```(?:sh|console|bash)\n(.*?)^```/gms)].flatMap(
    ([, block = ""]) => block.replaceAll("\\\n", " ").split("\n"),
  );
  const prose = text.replaceAll(/^```.*?^```/gms, "");
  const spans = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, span = ""]) => span);
  const command = /^(?:sudo |source <\(|[A-Z_]+=\S* )*(?:bin\/|npx )?kiln (?=[a-z-])(.+)$/;
  return [...blocks, ...spans].flatMap(
    (line) => command.exec(line.trim().replace(/\s+#.*$/, ""))?.[1] ?? [],
  );
}

/** The words of a line, up to what the shell does with them. */
function wordsOf(line: string): string[] {
  const [own = ""] = line.split(/ (?:[|<>]|2>|&&)|\)$|;/);
  return (own.match(/"[^"]*"|'[^']*'|\S+/g) ?? []).map((word) => word.replaceAll(/["'[\]]/g, ""));
}

/** Why the line cannot be run; undefined when it can. */
function faultOf(line: string): string | undefined {
  const words = normalizeArguments(program, wordsOf(line));
  const chain: Command[] = [program];
  for (const word of words) {
    const sub = chain.at(-1)?.commands.find((c) => c.name() === word || c.aliases().includes(word));
    if (sub === undefined) break;
    chain.push(sub);
  }
  // `kiln store object …` speaks of all commands of a group.
  if (chain.length === 1) return `no command ${words[0]}`;
  const flags = flagsOf(chain, false);
  const unknown = words
    .slice(0, words.includes("--") ? words.indexOf("--") : undefined)
    .filter((word) => /^-{1,2}[a-z]/.test(word) && !flags.has(word.split("=")[0] ?? ""));
  return unknown.length === 0 ? undefined : `no flag ${unknown.join(", ")}`;
}

const documents = ["README.md", ...globSync("docs/**/*.md", { cwd: root })].filter(
  (file) => !/^docs\/(?:api|node_modules)\//.test(file),
);

for (const document of documents) {
  const text = readFileSync(join(root, document), "utf8");
  describe(document, () => {
    for (const line of new Set(commandLines(text))) {
      test(`says something that can be typed: kiln ${line}`, () => {
        assert.equal(faultOf(line), undefined);
      });
    }
    test("links to what is there", () => {
      for (const [, target = ""] of text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
        if (/^[a-z]+:/.test(target)) continue;
        assert.ok(existsSync(join(root, dirname(document), target)), target);
      }
    });
  });
}

test("command lines are found in the documents", () => {
  const all = documents.flatMap((file) => commandLines(readFileSync(join(root, file), "utf8")));
  assert.ok(all.length > 30, `${all.length}`);
});
