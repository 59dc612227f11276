// Documents that promise tests, row by row: each one that they name is there, and is among those that are run.
import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const runner = readFileSync(join(root, "scripts/test.ts"), "utf8");

/** Rows of a document's tables: what it is about, what Kiln does, the tests. */
function rowsOf(document: string): string[][] {
  return readFileSync(join(root, document), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| Row"))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

/** The files that scripts/test.ts runs, by the patterns it has. */
const run = new Set(
  [...runner.matchAll(/globSync\("([^"]+)"\)/g)].flatMap(([, pattern = ""]) =>
    globSync(pattern, { cwd: root }),
  ),
);

/** Names of tests, and of the cases that tests are made from: `${…}` in them is `…`. */
function namesIn(file: string): Set<string> {
  const text = readFileSync(join(root, file), "utf8");
  const literal = String.raw`("(?:[^"\\]|\\.)*"|\x60(?:[^\x60\\]|\\.)*\x60)`;
  const inTests = new RegExp(String.raw`(?<![\w.])(?:test|it)\(\s*${literal}`, "g");
  const inCases = new RegExp(String.raw`\bname: ${literal}`, "g");
  const literals = [...text.matchAll(inTests), ...text.matchAll(inCases)].map(
    ([, name = ""]) => name,
  );
  return new Set(
    literals.map((name) =>
      name
        .slice(1, -1)
        .replaceAll(/\$\{(?:[^{}]|\{[^}]*\})*\}/g, "…")
        .replaceAll("\\`", "`"),
    ),
  );
}

/** The conformance vectors that are compared: one test each. */
const vectors = new Set(
  globSync("test/fixtures/vectors/*.json", { cwd: root }).flatMap((file) => {
    const { cases } = JSON.parse(readFileSync(join(root, file), "utf8")) as {
      cases: { id: string; unstable?: boolean; kiln?: { skip?: string } }[];
    };
    const isRun = run.has(`test/vectors/${basename(file, ".json")}.test.ts`);
    const compared = cases.filter(({ unstable, kiln }) => unstable !== true && !kiln?.skip);
    return isRun ? compared.map(({ id }) => id) : [];
  }),
);

/** `a/b/034..036` is three vectors. */
function vectorsOf(reference: string): string[] {
  const [first = "", last] = reference.split("..");
  const at = first.lastIndexOf("/") + 1;
  const [prefix, from] = [first.slice(0, at), Number(first.slice(at))];
  const count = last === undefined ? 1 : Number(last) - from + 1;
  return Array.from({ length: count }, (_, i) => prefix + String(from + i).padStart(3, "0"));
}

function fileOf(place: string): string {
  return `${place.startsWith("test/") ? "" : "src/"}${place}.test.ts`;
}

for (const [document, fewest] of [
  ["docs/zb-backend-rows.md", 100],
  ["docs/security-rows.md", 70],
] as const) {
  const rows = rowsOf(document);
  describe(`a row of ${document}`, () => {
    for (const [row = "", kiln = "", tests = ""] of rows) {
      test(`is held by tests: ${row}`, () => {
        // Code spans; a name with backticks in it ends at the next reference.
        const references = tests
          .split(/` `(?=[\w./-]+(?: › |\/\d{3}))/)
          .map((part) => part.replaceAll(/^`|`$/g, ""));
        if (kiln.includes("not there yet")) return assert.equal(tests, "");
        for (const reference of references) {
          const [place = "", name] = reference.split(" › ");
          if (name === undefined) {
            for (const id of vectorsOf(reference)) assert.ok(vectors.has(id), `no vector ${id}`);
            continue;
          }
          const file = fileOf(place);
          assert.ok(existsSync(join(root, file)) && run.has(file), `${file} is not run`);
          assert.ok(namesIn(file).has(name), `${file} has no test "${name}"`);
        }
      });
    }
    test("is one of many", () => {
      assert.ok(rows.length > fewest, `${rows.length} rows`);
    });
  });
}
