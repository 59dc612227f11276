import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseContentAddress, printContentAddress } from "../format/content-address.ts";
import { digestOf, parseStorePath } from "../format/store-path.ts";
import { KilnError } from "../util/kiln-error.ts";
import { temporaryDirectory } from "../util/temp.ts";
import { checkClaim } from "./address.ts";
import { Arrival } from "./arrival.ts";
import {
  sample,
  testStore,
  type Tree,
  importInto,
  outcomes,
  streamOf,
  exported,
  narOf,
} from "./store.test.support.ts";
import { DigestThread } from "./digest-thread.ts";
import { Syncer } from "./syncer.ts";
import { SelfReferenceAnalyzer } from "../format/references/self-references.ts";
import { storePathOf } from "../format/path-digest.ts";
import { sha256 } from "../format/hash.ts";

interface Case {
  readonly id: string;
  readonly fn: string;
  readonly note?: string;
  readonly in: {
    readonly storePath: string;
    readonly references: readonly string[];
    readonly ca: string | null;
    readonly nar: string;
  };
  readonly ok: boolean;
  readonly out?: { readonly ca: string };
}

const vectors = new URL("../../test/fixtures/vectors/export.json", import.meta.url);
const { cases } = JSON.parse(readFileSync(vectors, "utf8")) as { cases: Case[] };

for (const { id, note = "", in: given, ok, out } of cases.filter(
  ({ fn }) => fn === "importVerify",
)) {
  test(`${id} ${note}`, async () => {
    await using folder = await temporaryDirectory(tmpdir(), "kiln-address-");
    const check = async (): Promise<string> => {
      const tree = join(folder.path, "tree");
      const syncer = new Syncer(folder.path, "process");
      const arrival = new Arrival({ syncer, digests: new DigestThread() }, () => ({ tree }));
      arrival.write(Buffer.from(given.nar, "base64"));
      assert.equal(arrival.finished, true);
      const claim = {
        storePath: parseStorePath(given.storePath),
        references: given.references.map(parseStorePath),
        ca: given.ca === null || given.ca === "" ? undefined : parseContentAddress(given.ca),
      };
      return printContentAddress(await checkClaim(claim, await arrival.survey(true), () => tree));
    };
    if (ok) assert.equal(await check(), out?.ca);
    else
      await assert.rejects(check, (error) => error instanceof KilnError && error.kind === "input");
  });
}

function treeWith(text: string): Tree {
  return { entries: { a: `see ${text}`, b: { target: `/opt/zb/store/${text}-self` } } };
}

test("an object that refers to itself is imported, and one that hides or invents it is not", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const digest = "0123456789abcdfghijklmnpqrsvwxyz";
  const analyzer = new SelfReferenceAnalyzer(digest);
  analyzer.write(narOf(treeWith(digest)));
  const { ca } = analyzer.finish();
  const path = storePathOf(directory, "self", ca, { self: true, others: [] });
  const nar = narOf(treeWith(digestOf(path)));
  const object = {
    storePath: path,
    nar,
    ca,
    references: [path],
    narHash: sha256(nar),
    narSize: nar.length,
  };
  const plain = sample(directory, "plain", "plain");
  const reports = await importInto(
    store,
    streamOf(
      exported(object, { references: [] }),
      exported(object, { nar: narOf(treeWith(digest)) }),
      exported(plain, { references: [plain.storePath] }),
      exported(object),
      exported(object, { ca: undefined }),
    ),
  );
  assert.deepEqual(outcomes(reports), [
    "rejected path.mismatch",
    "rejected ca.mismatch",
    "rejected path.mismatch",
    "imported",
    "present",
  ]);
  assert.deepEqual(store.info(path)?.references, [path]);
});

test("an object may be declared to refer to itself without doing so, as to anything else", async () => {
  await using context = await testStore();
  const { store, directory } = context;
  const plain = sample(directory, "plain", "plain");
  const { ca } = plain;
  assert.ok(ca !== undefined);
  const storePath = storePathOf(directory, "plain", ca, { self: true, others: [] });
  const object = { ...plain, storePath, references: [storePath] };
  const reports = await importInto(store, streamOf(exported(plain), exported(object)));
  assert.deepEqual(outcomes(reports), ["imported", "imported"]);
  assert.notEqual(storePath, plain.storePath);
  assert.deepEqual(store.info(storePath)?.references, [storePath]);
});
