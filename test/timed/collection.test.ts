// Finding what nothing needs among 100,000 objects: how long it takes, and for how long it holds up everything else.
import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { sha256 } from "../../src/format/hash.ts";
import type { ObjectInfo } from "../../src/format/object-info.ts";
import {
  parseStoreDirectory,
  parseStorePath,
  type StorePath,
} from "../../src/format/store-path.ts";
import { ObjectTable } from "../../src/store/database/objects.ts";
import { StoreDatabase } from "../../src/store/database/open.ts";
import { findReachability } from "../../src/store/reachability.ts";
import { temporaryDirectory } from "../../src/util/temp.ts";

const count = 100_000;
const directory = parseStoreDirectory("/opt/zb/store");
const pathOf = (i: number): StorePath =>
  parseStorePath(`${directory}/${String(i).padStart(32, "0")}-object`);

/** Each refers to up to four of those before it: the even ones to even ones, the odd ones to odd ones. */
function* objects(): Generator<ObjectInfo> {
  const narHash = sha256("nar");
  const ca = { method: "recursive", hash: narHash } as const;
  for (let i = 0; i < count; i++) {
    const before = [i - 2, i - 64, i - 100, i - 7000].filter((j) => j >= 0);
    const references = [...new Set(before.map(pathOf))].toSorted();
    yield { storePath: pathOf(i), narHash, narSize: 100 + i, references, ca };
  }
}

test(`what no root needs among ${count} objects is found within a second, in small steps`, async (t) => {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-mark-");
  const options = { directory, durability: "process" } as const;
  using database = StoreDatabase.open(join(folder.path, "db"), options);
  database.transaction(() => new ObjectTable(database).insert([...objects()], 1));
  const roots = [50_000, 70_000, 99_998].map(pathOf);
  const times: number[] = [];
  const pauses: number[] = [];
  // A machine that is busy with something else may be slow once or twice.
  for (let round = 0; round < 4; round++) {
    let longest = 0;
    let last = performance.now();
    let isOver = false;
    const tick = (): void => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      if (!isOver) setImmediate(tick);
    };
    setImmediate(tick);
    const start = performance.now();
    const { live, dead } = await findReachability(database, { roots, cutoff: Infinity, uses: [] });
    times.push(performance.now() - start);
    isOver = true;
    pauses.push(longest);
    assert.deepEqual([live.count, dead.count], [count / 2, count / 2]);
  }
  const [time, pause] = [Math.min(...times), Math.min(...pauses)];
  t.diagnostic(`${time.toFixed(0)} ms, longest pause ${pause.toFixed(1)} ms`);
  assert.ok(time < 1000, `${time} ms`);
  assert.ok(pause < 50, `held up everything for ${pause} ms`);
});
