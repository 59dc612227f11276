// Every error code there is stands in docs/faults.md, with what it means and what to do, and no other does.
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const document = readFileSync(join(root, "docs/faults.md"), "utf8");
const rows = [
  ...document.matchAll(
    /^\| <a id="([\w.]+)"><\/a>`([\w.]+)` *\| (.*?[^\\ ]) *\| (.*?[^\\ ]) *\|$/gm,
  ),
];
const documented = new Set(rows.map(([, code = ""]) => code));

const sources = globSync("src/**/*.ts", { cwd: root })
  .filter((file) => !/\.test\.(?:[a-z]+\.)?ts$/.test(file))
  .map((file) => ({ file, text: readFileSync(join(root, file), "utf8") }));

/** Where an error is made: `new KilnError("a.b"`, `fault("a.b"`, `code: "a.b"`. */
const made =
  /(?:\b\w*(?:Error|[Ff]ault|[Ff]ailure|stop)\w*\(\s*(?:\w+, )?|\bcode[:=]\s*)"([a-z]\w*\.[a-z]\w*)"/g;
/** Any word of that form. */
const dotted = /"([a-z]\w*)\.([a-z]\w*)"/g;
/** Words that begin as codes do and are others: events, methods of the protocol, members of the configuration, files, other values. */
const others =
  /^(?:(?:build|result)\.(?:started|planned|finished|phase)|zb\.(?:exists|info|export|expand|realize|getBuild|getBuildResult|cancelBuild|readLog|nop|fetch)|server\.\w+|config\.(?:json|jwcc)|(?:init|builder)\.(?:sh|pl))$/;
/** Those of limits are put together. */
const limited = /limitReached\("(\w+)"/g;

const families = new Set([...documented].map((code) => code.split(".")[0] ?? ""));

/** The codes that a file makes, or speaks of. */
function codesOf(text: string): string[] {
  const codes = Array.from(text.matchAll(made), ([, code = ""]) => code);
  const words = Array.from(text.matchAll(dotted), ([, family = "", word = ""]) => [family, word]);
  const known = words
    .filter(([family = ""]) => families.has(family))
    .map((parts) => parts.join("."));
  const limits = Array.from(text.matchAll(limited), ([, word = ""]) => `limit.${word}`);
  return [...codes, ...known.filter((code) => !others.test(code)), ...limits];
}

test("docs/faults.md explains every code", () => {
  const unexplained = sources.flatMap(({ file, text }) =>
    codesOf(text)
      .filter((code) => !documented.has(code))
      .map((code) => `${code} (${file})`),
  );
  assert.deepEqual(unexplained, []);
});

test("docs/faults.md explains nothing that there is not, and nothing twice", () => {
  assert.ok(rows.length > 200, `${rows.length}`);
  assert.equal(documented.size, rows.length);
  const all = sources.map(({ text }) => text).join("\n");
  const gone = [...documented].filter(
    (code) => !all.includes(`"${code}"`) && !all.includes(`"${code.replace("limit.", "")}"`),
  );
  assert.deepEqual(gone, []);
});

test("every row has its code, a meaning and a remedy", () => {
  const lines = document.split("\n").filter((line) => line.includes("<a id="));
  assert.equal(
    lines.length,
    rows.length,
    lines.find((line) => !rows.some(([row]) => row === line)),
  );
  for (const [, id, code] of rows) assert.equal(id, code);
});
