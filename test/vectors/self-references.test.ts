import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { printContentAddress } from "../../src/format/content-address.ts";
import { storePathOf } from "../../src/format/path-digest.ts";
import { applyRewrites, BufferAccess } from "../../src/format/references/rewrite.ts";
import {
  SelfReferenceAnalyzer,
  type SelfReferenceAnalysis,
} from "../../src/format/references/self-references.ts";
import { digestOf, parseStoreDirectory, parseStorePath } from "../../src/format/store-path.ts";
import { narOf, type Tree } from "../support/nar-trees.ts";
import { loadVectors, vectorTests } from "./load.ts";

const { blobs } = loadVectors("self-references");

interface Input {
  readonly digest: string;
  readonly dir: string;
  readonly name: string;
  readonly others: readonly string[];
}

vectorTests("self-references", {
  sourceContentAddress: (input: Input & { tree: Tree }) => answer(narOf(input.tree, blobs), input),
  sourceContentAddressRaw: (input: Input & { nar: string }) =>
    answer(Buffer.from(input.nar, "base64"), input),
});

function answer(nar: Buffer, { digest, dir, name, others }: Input): unknown {
  const analysis = analyze(nar, digest);
  const { ca, rewrites, members, self } = analysis;
  const references = { self, others: others.map(parseStorePath) };
  const finalPath = storePathOf(parseStoreDirectory(dir), name, ca, references);
  const final = Buffer.from(nar);
  applyRewrites(new BufferAccess(final), rewrites, digest, digestOf(finalPath));
  if (!self) assert.equal(analysis.narHash?.rawBase16(), sha256(nar));
  return {
    ca: printContentAddress(ca),
    rewrites,
    paths: members.map(({ path, contentOffset, size }) => ({ path, contentOffset, size })),
    self,
    finalPath,
    narSha256: sha256(nar),
    narSize: analysis.narSize,
    finalNarSha256: sha256(final),
    // Whoever gets the object finds the same address with its final digest.
    finalVerifies: self
      ? isDeepStrictEqual(analyze(final, digestOf(finalPath)), analysis)
      : undefined,
  };
}

/** The same analysis whether the NAR comes as a whole, in large or in tiny pieces. */
function analyze(nar: Buffer, digest: string): SelfReferenceAnalysis {
  const whole = analyzeChunks(nar, digest, nar.length);
  assert.deepEqual(analyzeChunks(nar, digest, 997), whole);
  if (nar.length < 20_000) assert.deepEqual(analyzeChunks(nar, digest, 1), whole);
  return whole;
}

function analyzeChunks(nar: Buffer, digest: string, size: number): SelfReferenceAnalysis {
  const analyzer = new SelfReferenceAnalyzer(digest === "" ? undefined : digest);
  for (let at = 0; at < nar.length; at += size) analyzer.write(nar.subarray(at, at + size));
  return analyzer.finish();
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
