// Signing what builds make, and trusting it later.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { PublicKeyMessage } from "../rpc/protocol.ts";
import { SigningKey } from "../format/signature.ts";
import { states, Workbench } from "./workbench.test.support.ts";

const [mine, also, other] = [1, 2, 3].map((n) => SigningKey.fromSeed(Buffer.alloc(32, n))) as [
  SigningKey,
  SigningKey,
  SigningKey,
];

function trusting(...keys: readonly SigningKey[]): {
  reuse: { publicKeys: readonly PublicKeyMessage[] };
} {
  const publicKeys = keys.map(({ format, publicKey }) => ({
    format,
    publicKey: publicKey.toString("base64"),
  }));
  return { reuse: { publicKeys } };
}

let bench: Workbench;
before(async () => {
  bench = await Workbench.open({ signingKeys: [mine, also] });
});
after(async () => await bench[Symbol.asyncDispose]());

interface Signature {
  readonly publicKey: Buffer;
  readonly signature: Buffer;
}

/** Puts one other signature in the place of those that the database holds of a realisation. */
function replaceSignatures(path: string, change: (mine: Signature) => Signature): void {
  const { database } = bench.store;
  const row = database
    .prepare(
      "select realization, signature from signatures join realizations on id = realization where path = ? and public_key = ?",
    )
    .get(path, mine.publicKey);
  const { realization, signature } = row as { realization: number; signature: Uint8Array };
  const changed = change({ publicKey: mine.publicKey, signature: Buffer.from(signature) });
  database.prepare("delete from signatures where realization = ?").run(realization);
  database
    .prepare("insert into signatures values (?, 'ed25519', ?, ?)")
    .run(realization, changed.publicKey, changed.signature);
}

test("every new realisation is signed by every key, and trusted by whoever trusts one of them", async () => {
  const lib = await bench.shell("lib", "echo lib > $out");
  const app = await bench.shell("app", "mkdir $out; echo $lib > $out/app; echo $out > $out/me", {
    inputs: { lib },
  });
  const built = await bench.realize(app, trusting(other));
  assert.deepEqual(states(built), { lib: "built", app: "built" });
  for (const { outputs } of built.build.results) {
    const keys = outputs[0]!.signatures!.map(({ publicKey }) => publicKey);
    const expected = [mine, also].map(({ publicKey }) => publicKey.toString("base64"));
    assert.deepEqual(keys.toSorted(), expected.toSorted());
  }
  for (const key of [mine, also]) {
    assert.deepEqual(states(await bench.realize(app, trusting(other, key))), {
      lib: "reused",
      app: "reused",
    });
  }
  assert.equal(states(await bench.realize(app, trusting(other)))["app"], "built");
});

for (const [what, change] of [
  ["of zeros", (one: Signature) => ({ ...one, signature: Buffer.alloc(64) })],
  [
    "with a bit changed",
    (one: Signature) => ({
      ...one,
      signature: one.signature.map((byte, i) => byte ^ Number(i === 9)),
    }),
  ],
  ["of another key", (one: Signature) => ({ ...one, publicKey: also.publicKey })],
] as [string, (one: Signature) => Signature][]) {
  test(`a signature ${what} is not trusted, whatever the database says`, async () => {
    const name = what.replaceAll(" ", "-");
    const made = await bench.shell(name, "echo $out > $out");
    const path = bench.pathOf((await bench.realize(made)).build, made.drvPath);
    replaceSignatures(path, (one) => one);
    assert.equal(states(await bench.realize(made, trusting(mine, also)))[name], "reused");
    replaceSignatures(path, change);
    assert.equal(states(await bench.realize(made, trusting(mine, also)))[name], "built");
  });
}

test("a realisation that was there before is not signed by being reused", async () => {
  await using plain = await Workbench.open();
  const made = await plain.shell("plain", "echo > $out");
  await plain.realize(made);
  const again = await plain.realize(made);
  assert.deepEqual(again.build.results[0]?.outputs[0]?.signatures, []);
  assert.equal(states(await plain.realize(made, trusting(mine)))["plain"], "built");
});
