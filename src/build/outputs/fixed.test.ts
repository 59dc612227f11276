import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { dumpNar } from "../../files/dump.ts";
import type { ContentAddress } from "../../format/content-address.ts";
import { Hash, type HashType } from "../../format/hash.ts";
import { storePathOf } from "../../format/path-digest.ts";
import { defaultStoreDirectory } from "../../format/store-path.ts";
import { DigestThread } from "../../store/digest-thread.ts";
import { NarDigest } from "../../store/nar-digest.ts";
import { temporaryDirectory } from "../../util/temp.ts";
import { verifyFixedOutput } from "./fixed.ts";

const types: readonly HashType[] = ["md5", "sha1", "sha256", "sha512"];

/** What is read at once is less than the largest of them. */
const sizes: readonly number[] = [0, 5, 40_000, 600_000];

for (const type of types) {
  test(`a file is what was declared by its ${type}, and nothing else is`, async () => {
    for (const size of sizes) {
      const bytes = randomBytes(size);
      await using made = await place((tree) => writeFileSync(tree, bytes));
      await expectOnly(made.tree, { method: "flat", hash: hashOf(type, [bytes]) });
    }
  });

  test(`a tree is what was declared by the ${type} of its NAR, and nothing else is`, async () => {
    await using made = await place((tree) => {
      mkdirSync(tree);
      for (const size of sizes) writeFileSync(join(tree, `file-${size}`), randomBytes(size));
    });
    // The hash in a source address ends in this.
    const end = type === "sha256" ? ["|"] : [];
    const hash = hashOf(type, [...dumpNar(made.tree), ...end]);
    await expectOnly(made.tree, { method: "recursive", hash });
  });
}

test("a file that may be executed has no flat address", async () => {
  await using made = await place((tree) => writeFileSync(tree, "program"));
  chmodSync(made.tree, 0o755);
  const ca = { method: "flat", hash: hashOf("sha1", ["program"]) } as const;
  await assert.rejects(verify(made.tree, ca), { code: "ca.fileType", kind: "builder" });
});

/** This address is accepted, with what is found of the tree on the way; one of another hash is not. */
async function expectOnly(tree: string, ca: ContentAddress): Promise<void> {
  const wrong = { ...ca, hash: hashOf(ca.hash.type, ["something else"]) };
  const error = { code: "ca.mismatch", kind: "builder", message: new RegExp(escaped(ca.hash)) };
  await assert.rejects(verify(tree, wrong), error);
  const { info, frozenEntries } = await verify(tree, ca);
  const nar = Buffer.concat([...dumpNar(tree)]);
  assert.equal(info.narSize, nar.length);
  assert.ok(info.narHash.equals(hashOf("sha256", [nar])));
  assert.equal(lstatSync(tree).mtimeMs, 0);
  assert.equal(frozenEntries, lstatSync(tree).isDirectory() ? sizes.length + 1 : 1);
}

async function verify(tree: string, ca: ContentAddress): ReturnType<typeof verifyFixedOutput> {
  await using thread = new DigestThread();
  const logical = storePathOf(defaultStoreDirectory, "made", ca, { self: false, others: [] });
  const nothing = (): Promise<void> => Promise.resolve();
  const store = {
    digest: () => new NarDigest(thread),
    syncAhead: nothing,
    syncAllAhead: nothing,
  };
  return await verifyFixedOutput({ name: "out", logical, tree }, ca, { store });
}

async function place(make: (tree: string) => void): Promise<{ tree: string } & AsyncDisposable> {
  const folder = await temporaryDirectory(tmpdir(), "fixed-");
  const tree = join(folder.path, "tree");
  make(tree);
  return { tree, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

function hashOf(type: HashType, chunks: readonly (string | Buffer)[]): Hash {
  const hasher = createHash(type);
  for (const chunk of chunks) hasher.update(chunk);
  return Hash.of(type, hasher.digest());
}

/** As messages name it, for a regular expression. */
function escaped(hash: Hash): string {
  return hash.sri().replaceAll(/[+/=]/g, String.raw`\$&`);
}
