import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseStorePath } from "../format/store-path.ts";
import { StoreDatabase } from "./database/open.ts";
import { Usage } from "./usage.ts";

const minute = 60_000;
const path = (digit: string): ReturnType<typeof parseStorePath> =>
  parseStorePath(`/store/${digit.repeat(32)}-used`);

test("uses are kept in memory for as long as rows are not exact, and not of what is gone", async () => {
  const folder = mkdtempSync(join(tmpdir(), "kiln-usage-"));
  const database = StoreDatabase.open(join(folder, "db.sqlite"), {
    directory: "/store",
    durability: "process",
  });
  let now = 1000 * minute;
  const logged: string[] = [];
  const usage = new Usage(
    database,
    (level, text) => logged.push(`${level} ${text}`),
    () => now,
  );
  const paths = (): string[] => usage.noted().map(([used]) => used);
  try {
    usage.note(path("a"));
    usage.note(path("b"));
    usage.forget([path("b"), path("c")]);
    assert.deepEqual(paths(), [path("a")]);
    now += 5 * minute;
    usage.note(path("c"));
    await usage.write();
    assert.deepEqual(paths(), [path("a"), path("c")]);
    now += 6 * minute;
    await usage.write();
    assert.deepEqual(paths(), [path("c")]);
    assert.deepEqual(logged, []);
  } finally {
    usage[Symbol.dispose]();
    database.close();
    rmSync(folder, { recursive: true });
  }
});
