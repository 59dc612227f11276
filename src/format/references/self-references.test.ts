import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { hasCode } from "../../util/kiln-error.ts";
import { NarWriter } from "../nar/writer.ts";
import { Blanker } from "./blanker.ts";
import { applyRewrites, BufferAccess } from "./rewrite.ts";
import { SelfReferenceAnalyzer, type SelfReferenceAnalysis } from "./self-references.ts";

const digest = "rvmnz3ll13vrg2gwlhbqrzzbyg4ygxlq";
const otherDigest = "0mdqa9w1p6cmli6976v4wi0sw9r4p5pr";

/** Texts with the digest whole, cut and repeated. */
const text: fc.Arbitrary<Buffer> = fc
  .array(
    fc.oneof(
      fc.constant(digest),
      fc.nat(31).map((end) => digest.slice(0, end)),
      fc.nat(31).map((start) => digest.slice(start)),
      fc.constantFrom("r", "rvm", "/", "store/"),
    ),
    { maxLength: 6 },
  )
  .map((parts) => Buffer.from(parts.join("")));

const sizes = fc.array(fc.integer({ min: 1, max: 70 }), { maxLength: 30 });

function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (const length of lengths) {
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return [...chunks, bytes.subarray(at)];
}

function narOf(members: readonly { name: string; contents?: Buffer; target?: Buffer }[]): Buffer {
  const chunks: Buffer[] = [];
  const writer = new NarWriter((chunk) => chunks.push(chunk));
  writer.directory("");
  for (const { name, contents, target } of members) {
    if (target !== undefined) writer.symlink(name, target);
    if (contents === undefined) continue;
    writer.file(name, false, contents.length);
    writer.data(contents);
    writer.endFile();
  }
  writer.endDirectory();
  writer.end();
  return Buffer.concat(chunks);
}

function analyze(chunks: readonly Buffer[], searched: string | undefined): SelfReferenceAnalysis {
  const analyzer = new SelfReferenceAnalyzer(searched);
  for (const chunk of chunks) analyzer.write(chunk);
  return analyzer.finish();
}

function sha256(...parts: readonly (Buffer | string)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}

describe("blanking a digest", () => {
  test("gives zeros for what a plain search finds, however the stream is cut", () => {
    fc.assert(
      fc.property(text, sizes, (bytes, lengths) => {
        const parts: Buffer[] = [];
        const blanker = new Blanker(digest, {
          plain: (plain) => parts.push(Buffer.from(plain)),
          blank: () => parts.push(Buffer.alloc(32)),
        });
        for (const chunk of cut(bytes, lengths)) blanker.write(chunk);
        blanker.end();
        const expected = bytes.toString("latin1").replaceAll(digest, "\0".repeat(32));
        assert.equal(Buffer.concat(parts).toString("latin1"), expected);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("the self-reference analyzer", () => {
  test("without a digest, the address is the hash of the NAR and a bar", () => {
    const nar = narOf([{ name: "a", contents: Buffer.from(digest) }]);
    const { ca, rewrites, self, narHash, narSize } = analyze([nar], undefined);
    assert.equal(ca.hash.rawBase16(), sha256(nar, "|"));
    assert.equal(narHash?.rawBase16(), sha256(nar));
    assert.deepEqual(
      { rewrites, self, narSize },
      { rewrites: [], self: false, narSize: nar.length },
    );
  });

  test("agrees with a plain implementation, however the NAR is cut", () => {
    fc.assert(
      fc.property(text, text, text, sizes, (first, second, target, lengths) => {
        const nar = narOf([
          { name: "a", contents: first },
          { name: "b", contents: second },
          { name: "c", target: Buffer.concat([Buffer.from("x"), target]) },
        ]);
        // Names and tokens never hold the digest, and no match goes from one member into another.
        const latin1 = nar.toString("latin1");
        const offsets = [...latin1.matchAll(new RegExp(digest, "g"))].map(({ index }) => index);
        const blanked = Buffer.from(latin1.replaceAll(digest, "\0".repeat(32)), "latin1");

        const { ca, rewrites, self, narHash } = analyze(cut(nar, lengths), digest);
        assert.deepEqual(
          rewrites,
          offsets.map((offset) => ({ type: "selfReference", offset })),
        );
        assert.equal(ca.hash.rawBase16(), sha256(blanked, "|", ...offsets.map((at) => `|${at}`)));
        assert.equal(self, offsets.length > 0);
        assert.equal(narHash?.rawBase16(), self ? undefined : sha256(nar));
      }),
    );
  });

  test("what was rewritten has the same address again", () => {
    const nar = narOf([
      { name: "a", contents: Buffer.from(`${digest}${digest}`) },
      { name: "b", target: Buffer.from(`/store/${digest}-x`) },
    ]);
    const before = analyze([nar], digest);
    const after = Buffer.from(nar);
    applyRewrites(new BufferAccess(after), before.rewrites, digest, otherDigest);
    assert.deepEqual(analyze([after], otherDigest), before);
    assert.deepEqual(before.paths, ["a", "b"]);
  });

  test("rewriting the second name of a file that was rewritten already is no mistake", () => {
    const nar = Buffer.from(`..${digest}..`);
    const rewrites = [{ type: "selfReference", offset: 2 }] as const;
    applyRewrites(new BufferAccess(nar), rewrites, digest, otherDigest);
    applyRewrites(new BufferAccess(nar), rewrites, digest, otherDigest);
    assert.equal(nar.toString(), `..${otherDigest}..`);
  });

  test("rewriting something else than what was analyzed is refused", () => {
    const rewrites = [{ type: "selfReference", offset: 1 }] as const;
    const nar = Buffer.from(`..${digest}..`);
    assert.throws(
      () => applyRewrites(new BufferAccess(nar), rewrites, digest, otherDigest),
      (thrown) => hasCode(thrown, "rewrite.mismatch"),
    );
  });

  test("a name that holds the digest is refused", () => {
    const nar = narOf([{ name: `lib${digest}`, contents: Buffer.from("x") }]);
    assert.throws(
      () => analyze([nar], digest),
      (thrown) => hasCode(thrown, "reference.inName"),
    );
  });

  test("bytes after the end are refused, and so is an early end", () => {
    const nar = narOf([]);
    for (const searched of [undefined, digest]) {
      assert.throws(
        () => analyze([nar, Buffer.from("x")], searched),
        (thrown) => hasCode(thrown, "nar.trailing"),
      );
      assert.throws(
        () => analyze([nar.subarray(0, -1)], searched),
        (thrown) => hasCode(thrown, "nar.truncated"),
      );
    }
  });

  test("refuses to look for what is no digest", () => {
    assert.throws(
      () => new SelfReferenceAnalyzer(""),
      (thrown) => hasCode(thrown, "path.invalid"),
    );
  });
});
