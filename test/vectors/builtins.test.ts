/**
 * The built-in builders by themselves, against what zb's made of the same derivations: the cases of group `realize` whose system is
 * `builtin`, without store, scheduler and wire.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { test } from "node:test";
import { BuiltinExecutor } from "../../src/build/builtin-executor.ts";
import { testStore } from "../../src/build/builtins/task.test.helper.ts";
import { dumpNar } from "../../src/files/dump.ts";
import { parseContentAddress } from "../../src/format/content-address.ts";
import type { DerivationOutput } from "../../src/format/derivation/derivation.ts";
import { nameOf, parseStorePath } from "../../src/format/store-path.ts";
import { stringToBytes } from "../../src/util/byte-string.ts";
import { loadVectors, type VectorCase } from "./load.ts";

interface RealizeInput {
  readonly derivations: readonly {
    readonly derivation: {
      readonly system: string;
      readonly builder: string;
      readonly env: readonly (readonly [string, string])[];
      readonly outputs: readonly (readonly [
        string,
        { readonly type: string; readonly ca?: string },
      ])[];
    };
  }[];
  readonly sources: readonly { readonly storePath: string; readonly tree: { contents: string } }[];
  readonly http?: { readonly base: string; readonly files: Readonly<Record<string, string>> };
}

interface RealizeAnswer {
  readonly status: string;
  readonly objects: Readonly<Record<string, { readonly narSha256: string }>>;
}

type RealizeCase = VectorCase & { readonly in: RealizeInput; readonly out: RealizeAnswer };

function isBuiltin(vector: VectorCase): vector is RealizeCase {
  return (
    isRealizeInput(vector.in) &&
    vector.in.derivations.some(({ derivation }) => derivation.system === "builtin")
  );
}

function isRealizeInput(input: unknown): input is RealizeInput {
  return typeof input === "object" && input !== null && "derivations" in input;
}

/** SHA-256 of the NAR that the builder left, or undefined when it failed. */
async function build(vector: RealizeCase): Promise<{ nar?: string; log: string }> {
  await using store = await testStore();
  await using server = await serve(vector.in.http?.files ?? {});
  const [described] = vector.in.derivations;
  assert.ok(described);
  const { builder, env, outputs } = described.derivation;
  const variables = Object.fromEntries(env);
  for (const { storePath, tree } of vector.in.sources) {
    const copy = await store.addFile(
      nameOf(parseStorePath(storePath)),
      stringToBytes(tree.contents),
    );
    if (variables["src"] === storePath) variables["src"] = copy;
  }
  const { base } = vector.in.http ?? {};
  if (base !== undefined) variables["url"] = variables["url"]?.replace(base, server.base) ?? "";
  const ca = outputs[0]?.[1].ca;
  const output: DerivationOutput =
    ca === undefined
      ? { type: "floating", method: "recursive", hashType: "sha256" }
      : { type: "fixed", ca: parseContentAddress(ca) };
  const task = await store.task(builder, variables, { output });
  const outcome = await new BuiltinExecutor().run(task, new AbortController().signal);
  if (outcome.type !== "exited") return { log: task.logged() };
  const hash = createHash("sha256");
  for (const chunk of dumpNar(task.output)) hash.update(chunk);
  return { nar: hash.digest("hex"), log: task.logged() };
}

async function serve(
  files: Readonly<Record<string, string>>,
): Promise<AsyncDisposable & { base: string }> {
  const server = createServer((request, response) => {
    const file = files[request.url ?? ""];
    response.writeHead(file === undefined ? 404 : 200).end(file);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  return {
    base: `http://127.0.0.1:${address.port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

const cases = loadVectors("realize").cases.filter(isBuiltin);
const stripped = cases.find(({ note }) => note === "tar.gz, stripped");

test("there are vectors of built-in builders", () => {
  assert.ok(cases.length >= 14);
  assert.ok(stripped);
});

for (const vector of cases) {
  test(`${vector.id} ${vector.note ?? vector.kind}`, async () => {
    const { nar, log } = await build(vector);
    if ((vector.kiln?.status ?? vector.out.status) !== "success") {
      assert.equal(nar, undefined);
      assert.match(log, /^builtin:(fetchurl|extract): .+\n$/);
      return;
    }
    // Where only Kiln succeeds, it is another compression of the same archive.
    const objects = vector.out.status === "success" ? vector.out.objects : stripped?.out.objects;
    assert.deepEqual(
      [nar, log],
      [Object.values(objects ?? {}).map(({ narSha256 }) => narSha256)[0], ""],
    );
  });
}
