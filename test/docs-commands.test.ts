// Every `kiln` command line in the documents is one that Kiln understands, whoever runs it, and what
// they link to is there.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { anchorOf } from "../scripts/document-page.ts";
import { faultOf } from "./support/command-line.ts";
import { documents, readDocument, root, unknownMarks } from "./support/document.ts";

/** Command lines in a document: in blocks for the shell, and in code spans that begin with `kiln` or `bin/kiln`. */
function commandLines(text: string): string[] {
  const blocks = [...text.matchAll(/^```(?:sh|console|bash)\n(.*?)^```/gms)].flatMap(
    ([, block = ""]) => block.replaceAll("\\\n", " ").split("\n"),
  );
  const prose = text.replaceAll(/^```.*?^```/gms, "");
  const spans = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, span = ""]) => span);
  const command = /^(?:\$ |sudo |source <\(|[A-Z_]+=\S* )*(?:bin\/|npx )?kiln (?=[a-z-])(.+)$/;
  return [...blocks, ...spans].flatMap(
    (line) => command.exec(line.trim().replace(/\s+#.*$/, ""))?.[1] ?? [],
  );
}

/** The anchors in a document: of its headings, and those that it sets. */
function anchorsOf(text: string): Set<string> {
  const prose = text.replaceAll(/^```.*?^```/gms, "");
  const headings = [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => anchorOf(heading));
  const set = [...prose.matchAll(/ id="([^"]+)"/g)].map(([, id = ""]) => id);
  return new Set([...headings, ...set]);
}

/** Where a document's links lead: files from the checkout's root, and the anchors in them. */
function linksOf(document: string): { target: string; anchor: string }[] {
  const text = readDocument(document).replaceAll(/^```.*?^```/gms, "");
  return [...text.matchAll(/\]\(([^)#\s]*)(?:#([^)]*))?\)/g)]
    .filter(([, file = ""]) => !/^[a-z]+:/.test(file))
    .map(([, file = "", anchor = ""]) => ({
      target: file === "" ? document : join(dirname(document), file),
      anchor,
    }));
}

for (const document of documents) {
  const text = readDocument(document);
  describe(document, () => {
    for (const line of new Set(commandLines(text))) {
      test(`says something that can be typed: kiln ${line}`, () => {
        assert.equal(faultOf(line), undefined);
      });
    }
    test("links to what is there", () => {
      for (const { target, anchor } of linksOf(document)) {
        assert.ok(existsSync(join(root, target)), target);
        if (anchor === "") continue;
        assert.ok(anchorsOf(readDocument(target)).has(anchor), `${target}#${anchor}`);
      }
    });
    test("has no mark that means nothing", () => {
      assert.deepEqual(unknownMarks(text), []);
    });
  });
}

test("every document is reached from docs/README.md", () => {
  const reached = new Set(["README.md", "docs/README.md"]);
  for (const document of reached) {
    for (const { target } of linksOf(document)) {
      if (documents.includes(target)) reached.add(target);
    }
  }
  assert.deepEqual(
    documents.filter((document) => !reached.has(document)),
    [],
  );
});

test("command lines are found in the documents", () => {
  const all = documents.flatMap((file) => commandLines(readDocument(file)));
  assert.ok(all.length > 30, `${all.length}`);
});
