/**
 * The conformance vectors as tests. A file of test/vectors/ is one call:
 *
 * ```ts
 * vectorTests("hashes", {
 *   parseHash: ({ text }: { text: string }) => renderings(parseHash(text)),
 *   …                             // every `fn` of the group
 * });
 * ```
 *
 * Each case becomes a test of its own, named by its id and note. A function gets the case's input and returns (or promises) what
 * the case's `out` holds; where the case must be rejected it has to throw a {@link KilnError} that is not an internal one. Texts
 * written `{"b64": …}` come as byte strings (util/byte-string.ts) and are compared as such; members that are `undefined` in
 * an answer count as absent.
 *
 * Kiln's own answer (`kiln`) wins over zb's. Cases it says to skip, unstable ones and those `skip` names are skipped with their
 * reason. The vectors are read from the directory `KILN_VECTORS`, or else from test/fixtures/vectors; its README.md describes them.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { bytesToString } from "../../src/util/byte-string.ts";
import { KilnError } from "../../src/util/kiln-error.ts";

export interface VectorCase {
  readonly id: string;
  /** The function to call. */
  readonly fn: string;
  /** A label for grouping. */
  readonly kind: string;
  readonly note?: string;
  readonly in: unknown;
  /** Whether zb v0.1.0 accepts the input. */
  readonly ok: boolean;
  readonly out?: unknown;
  /** Why zb rejects it; information only. */
  readonly error?: string;
  /** Set where zb's newest snapshot answers differently. */
  readonly head?: unknown;
  /** Set where Kiln has to answer differently from zb. */
  readonly kiln?: {
    readonly ok?: boolean;
    readonly status?: string;
    readonly error?: number;
    readonly skip?: string;
    readonly why?: string;
  };
  /** Two runs of zb gave different answers. */
  readonly unstable?: boolean;
}

export interface VectorFile {
  readonly group: string;
  readonly cases: readonly VectorCase[];
  /** Binary inputs that cases name (self-references only); base 64. */
  readonly blobs?: Readonly<Record<string, string>>;
}

/** What to call for each `fn` of a group. Declared as a method so that each function can state the input it expects. */
export interface VectorFunctions {
  readonly [fn: string]: { call(input: unknown): unknown }["call"];
}

export interface VectorOptions {
  /** Why a case is not run, if so. */
  readonly skip?: (vector: VectorCase) => string | undefined;
  /** Members of `out` whose wording is the implementation's own: they have to be texts, not equal ones. */
  readonly wordings?: readonly string[];
}

/** The vectors of a group with `{"b64": …}` decoded to byte strings. */
export function loadVectors(group: string): VectorFile {
  const directory =
    process.env["KILN_VECTORS"] ?? fileURLToPath(new URL("../fixtures/vectors", import.meta.url));
  const file: VectorFile = JSON.parse(
    readFileSync(join(directory, `${group}.json`), "utf8"),
    (_key, value: unknown) => (isEncodedText(value) ? decodeText(value) : value),
  );
  assert.equal(file.group, group);
  assert.ok(file.cases.length > 0, `no vectors in group ${group}`);
  return file;
}

/** Declares a test for each case of `group`; see the head of this file. */
export function vectorTests(
  group: string,
  functions: VectorFunctions,
  options: VectorOptions = {},
): void {
  const { cases } = loadVectors(group);
  const wanted = new Set(cases.map(({ fn }) => fn));
  assert.deepEqual(Object.keys(functions).toSorted(), [...wanted].toSorted());
  for (const vector of cases) {
    const call = functions[vector.fn];
    assert.ok(call);
    const skip = reasonToSkip(vector) ?? options.skip?.(vector) ?? false;
    test(`${vector.id} ${vector.note ?? vector.kind}`, { skip }, async () => {
      if (!(vector.kiln?.ok ?? vector.ok)) await assertRejected(() => call(vector.in));
      else assertAnswer(vector, await call(vector.in), options.wordings ?? []);
    });
  }
}

function reasonToSkip(vector: VectorCase): string | undefined {
  if (vector.kiln?.skip !== undefined) return vector.kiln.skip;
  return vector.unstable === true ? "zb itself gave two different answers" : undefined;
}

async function assertRejected(run: () => unknown): Promise<void> {
  await assert.rejects(
    // A function that throws and a promise that is rejected are the same here.
    async () => run(),
    (thrown) => {
      assert.ok(thrown instanceof KilnError, `not a KilnError: ${String(thrown)}`);
      assert.notEqual(thrown.kind, "internal");
      return true;
    },
  );
}

function assertAnswer(vector: VectorCase, answer: unknown, wordings: readonly string[]): void {
  // Where Kiln accepts what zb refuses there is no answer to compare with.
  if (!vector.ok) return;
  const alike = (value: unknown): unknown => withoutWordings(withoutUndefined(value), wordings);
  assert.deepEqual(alike(answer), alike(vector.out));
}

function withoutWordings(value: unknown, wordings: readonly string[]): unknown {
  if (wordings.length === 0 || typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      wordings.includes(key) && typeof member === "string" ? "…" : member,
    ]),
  );
}

function withoutUndefined(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutUndefined);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([key, member]) => [key, withoutUndefined(member)]),
  );
}

function isEncodedText(value: unknown): value is { b64: string } {
  return (
    typeof value === "object" &&
    value !== null &&
    Object.keys(value).length === 1 &&
    "b64" in value &&
    typeof value.b64 === "string"
  );
}

function decodeText({ b64 }: { b64: string }): string {
  return bytesToString(Buffer.from(b64, "base64"));
}
