import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import { makeOutLinks, outLinks } from "./out-links.ts";

const to = (path: string) => [[{ output: "out", path }]];

test("links are named for targets and outputs", () => {
  const targets = [
    [
      { output: "dev", path: "/s/a-dev" },
      { output: "out", path: "/s/a" },
    ],
    [{ output: "out", path: "/s/b" }],
  ];
  assert.deepEqual(outLinks("result", targets), [
    { link: "result-dev", path: "/s/a-dev" },
    { link: "result", path: "/s/a" },
    { link: "result-2", path: "/s/b" },
  ]);
});

test("a link is replaced, anything else is left alone", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "kiln-links-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const link = join(folder, "result");
  makeOutLinks(link, to("/s/a"));
  makeOutLinks(link, to("/s/b"));
  assert.equal(readlinkSync(link), "/s/b");
  const file = join(folder, "file");
  writeFileSync(file, "precious");
  assert.throws(
    () => makeOutLinks(file, to("/s/a")),
    (error) => hasCode(error, "file.exists"),
  );
  assert.deepEqual(readdirSync(folder).toSorted(), ["file", "result"]);
});
