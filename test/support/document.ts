/**
 * What the documents say for the shell: blocks that are run by a test, each as the comment before it tells.
 *
 *   <!-- run by FILE -->        is run by that test, or by .ci/run
 *   <!-- goes on: TEXT -->      one command that stays, as a daemon does; it is ready when it has written TEXT
 *   <!-- needs PROGRAM -->      is run where this program is, like the real zb
 *   <!-- exit 1 -->             the last command ends so
 *   <!-- briefly -->            is run with KILN_BRIEF=1 (see brief.ts)
 *   <!-- run                    commands that readers do not see
 *   … -->
 *   <!-- file PATH -->          the block, of whatever language, is that file, in a folder that is there
 *
 * `sh` blocks have to succeed. `console` blocks have commands after `$ ` (their further lines after `> `) and what a terminal shows
 * then; `…` stands for anything, alone in a line for any lines; times and ids of builds may differ.
 */
import { globSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

export const root: string = fileURLToPath(new URL("../..", import.meta.url));

export interface Block {
  readonly line: number;
  readonly kind: "sh" | "console" | "hidden" | "file";
  /** The commands, as bash takes them. */
  readonly commands: string;
  /** What has to be shown; undefined where the document does not say. */
  readonly shown: readonly string[] | undefined;
  /** The file that runs it in the place of docs-run.test.ts and docs-checkout.test.ts. */
  readonly runBy: string | undefined;
  readonly goesOn: string | undefined;
  readonly needs: string | undefined;
  readonly isBrief: boolean;
  readonly exit: number;
}

/** README.md and all pages below docs/. */
export const documents: readonly string[] = [
  "README.md",
  ...globSync("docs/**/*.md", {
    cwd: root,
    exclude: ["docs/node_modules/**", "docs/pages/**"],
  }).toSorted(),
];

export function readDocument(file: string): string {
  return readFileSync(join(root, file), "utf8");
}

/** All blocks of a document in order. */
export function blocksOf(text: string): Block[] {
  const pattern =
    /^<!-- file (?<file>\S+) -->\n+```\w+\n(?<content>.*?)^```|^(?:<!-- (?<mark>(?!run\n)[^\n]*?) -->\n+)?```(?<kind>sh|bash|console)\n(?<body>.*?)^```|^<!-- run\n(?<hidden>.*?)-->/gms;
  return [...text.matchAll(pattern)].map((match) => {
    const { file, content = "", mark = "", kind, body = "", hidden } = match.groups ?? {};
    const line = text.slice(0, match.index).split("\n").length;
    const marks = {
      line,
      runBy: /^run by (\S+)$/.exec(mark)?.[1],
      goesOn: /^goes on: (.+)$/.exec(mark)?.[1],
      needs: /^needs (\S+)$/.exec(mark)?.[1],
      isBrief: mark === "briefly",
      exit: Number(/^exit (\d+)$/.exec(mark)?.[1] ?? 0),
    };
    if (file !== undefined) {
      const commands = `cat > ${file} <<'END OF FILE'\n${content}END OF FILE\n`;
      return { ...marks, kind: "file", commands, shown: undefined };
    }
    if (hidden !== undefined) {
      return { ...marks, kind: "hidden", commands: hidden, shown: undefined };
    }
    if (kind !== "console") return { ...marks, kind: "sh", commands: body, shown: undefined };
    const lines = body.trimEnd().split("\n");
    return {
      ...marks,
      kind: "console",
      commands: lines.flatMap((said) => (isTyped(said) ? [said.slice(2)] : [])).join("\n"),
      shown: lines.filter((said) => !isTyped(said)),
    };
  });
}

function isTyped(line: string): boolean {
  return /^[$>] /.test(line);
}

/** Comments before blocks for the shell that say nothing known: a mistyped mark would be a block that is run otherwise than meant. */
export function unknownMarks(text: string): string[] {
  const known = /^(?:run by \S+|goes on: .+|needs \S+|exit \d+|briefly|file \S+)$/;
  return [...text.matchAll(/^<!-- (.*?) -->\n+```\w+\n/gm)].flatMap(([, mark = ""]) =>
    known.test(mark) ? [] : [mark],
  );
}

/** The blocks that are marked as run by the test at this URL (its `import.meta.url`), which has to run them all. */
export function blocksRunBy(test: string): readonly Block[] {
  const file = relative(root, fileURLToPath(test));
  return documents.flatMap((document) =>
    blocksOf(readDocument(document)).filter(({ runBy }) => runBy === file),
  );
}

/** The commands of a block, without comments and what joins them. */
export function commandsOf({ commands }: Block): string[] {
  return commands
    .split("\n")
    .flatMap((line) => line.replace(/\s+#.*$/, "").split(" && "))
    .filter(Boolean);
}

/** Whether lines on the terminal are what the document shows. */
export function isShown(shown: readonly string[], lines: readonly string[]): boolean {
  const parts = shown.map((line) =>
    line.trim() === "…" ? "(?:.*\n)*?" : `${escaped(settled(line)).replaceAll("…", ".*")}\n`,
  );
  return new RegExp(`^${parts.join("")}$`).test(lines.map((line) => `${settled(line)}\n`).join(""));
}

/** Without what differs at each run: how long things took, and the short ids of builds. */
function settled(line: string): string {
  return line
    .trimEnd()
    .replaceAll(/\s*(?<![\w.])\d+(?:\.\d+)?s\b/g, " 0s")
    .replaceAll(/(?<![\w-])[0-9a-f]{8}(?![\w-])/g, "00000000");
}

/** As a regular expression that matches only this. */
function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
}
