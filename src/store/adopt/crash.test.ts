// The adopting process is killed at each of its steps that leave a trace; then the adoption is repeated.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { defaultStoreDirectory } from "../../format/store-path.ts";
import { hasCode } from "../../util/kiln-error.ts";
import { temporaryDirectory } from "../../util/temp.ts";
import { BuildTable } from "../database/builds.ts";
import { Store } from "../store.ts";
import { buildID, makeZbStore, samples } from "./adopt.test.support.ts";
import { takeOver } from "./take-over.ts";

const child = new URL("./crash.test.child.ts", import.meta.url).pathname;

/** Whether the child got as far as this step. */
async function checkStep(step: number): Promise<boolean> {
  await using folder = await temporaryDirectory(tmpdir(), "kiln-adopt-crash-");
  const zb = await makeZbStore(folder.path);
  const { signal, status, stderr } = spawnSync(process.execPath, [child, folder.path, `${step}`], {
    encoding: "utf8",
  });
  assert.ok(signal === "SIGKILL" || status === 0, stderr);
  const options = { directory: defaultStoreDirectory, realDirectory: zb.store };
  try {
    const report = await takeOver({ ...options, zbDatabase: zb.database });
    assert.equal(report.adopted.length + report.present, 4, `step ${step}`);
  } catch (error) {
    assert.ok(hasCode(error, "zb.adopted"), `step ${step}: ${String(error)}`);
  }
  await using store = await Store.open({ ...options, database: zb.database });
  for (const { storePath } of Object.values(samples)) {
    assert.ok(await store.isIntact(storePath), `step ${step}: ${storePath}`);
  }
  assert.ok(new BuildTable(store.database).find(buildID.text) !== undefined);
  assert.ok(existsSync(`${zb.database}.zb`) && !existsSync(`${zb.database}.adopting`));
  return signal === "SIGKILL";
}

// Which steps are looked at changes from day to day; KILN_CRASH_STEPS=all takes every one.
const stride = process.env["KILN_CRASH_STEPS"] === "all" ? 1 : 23;
const offset = stride === 1 ? 1 : 1 + (Math.floor(Date.now() / 86_400_000) % stride);

test(`after kill -9 at step ${offset}, ${offset + stride}, … the adoption can be repeated`, async () => {
  let steps = 0;
  for (let step = offset; await checkStep(step); step += stride) steps++;
  assert.ok(steps * stride > 40, `only ${steps} steps`);
});
