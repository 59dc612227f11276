// Signing keys: those of zb v0.2 and Kiln's are the same files, and whoever trusts one gets what it signed.
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { StoreClient } from "../src/rpc/client.ts";
import { Place } from "./support/cli.ts";
import { needsZbHead, zbHead } from "./support/peers.ts";
import { type Daemon, type Ended, kilnProgram, needsWorld, World } from "./support/world.ts";

describe("kiln key", () => {
  test("makes a key that nobody else can read, and shows its public half", async () => {
    await using place = new Place();
    const file = join(place.project, "key");
    const made = await place.run(["key", "generate", "-o", file]);
    assert.equal(made.code, 0, made.stderr);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const shown = await place.run(["key", "show-public", file]);
    assert.match(
      shown.stdout.toString(),
      /^\{\n\t"format": "ed25519",\n\t"publicKey": "[A-Za-z0-9+/]{43}="\n\}\n$/,
    );
    const other = await place.run(["key", "generate"]);
    assert.match(
      other.stdout.toString(),
      /^\{\n\t"format": "ed25519",\n\t"key": "[A-Za-z0-9+/]{43}="\n\}\n$/,
    );
    const both = await place.run(["key", "show-public", file, "-"], { input: other.stdout });
    assert.ok(both.stdout.toString().startsWith(shown.stdout.toString()));
    assert.equal(both.stdout.length, 2 * shown.stdout.length);
  });

  test("is never written over a file that is there", async () => {
    await using place = new Place();
    const file = place.write("key", "precious");
    const ended = await place.run(["key", "generate", "-o", file]);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /key exists, .*\[file\.exists\]\n {2}try {3}give another name/);
    assert.equal(readFileSync(file, "utf8"), "precious");
    const entries = readdirSync(place.project);
    assert.deepEqual(entries, ["key"]);
    assert.equal((await place.run(["key", "generate", "-o", "/dev/null"])).code, 0);
  });

  test("says what is no key, and shows nothing of it", async () => {
    await using place = new Place();
    place.write("bad", "secret words");
    const ended = await place.run(["key", "show-public", "bad"]);
    assert.equal(ended.code, 1);
    assert.match(ended.stderr, /bad: the key file is not JSON \[key\.invalid\]/);
    assert.ok(!ended.stderr.includes("secret words"));
    assert.match((await place.run(["key", "show-public", "none"])).stderr, /file\.missing/);
    const serve = await place.run(["serve", "--build-users-group=", "--signing-key=bad"]);
    assert.match(serve.stderr, /key\.invalid/);
  });

  test("gives the same texts as zb", { skip: needsZbHead || needsWorld }, async () => {
    await using world = await World.open();
    for (const [maker, reader] of [
      [zbHead!, kilnProgram],
      [kilnProgram, zbHead!],
    ] as const) {
      const key = await world.run(maker, ["key", "generate"]);
      const texts = [];
      for (const program of [maker, reader]) {
        const ended = await world.run(program, ["key", "show-public"], { input: key.stdout });
        assert.equal(ended.code, 0, ended.stderr);
        texts.push(ended.stdout.toString());
      }
      assert.equal(texts[1], texts[0]);
    }
  });
});

describe("zb v0.2 and kiln serve --signing-key", { skip: needsZbHead || needsWorld }, () => {
  const fixtures = fileURLToPath(new URL("./fixtures", import.meta.url));

  /** zb's client, which trusts these keys. */
  async function build(world: World, daemon: Daemon, trusted: readonly string[]): Promise<Ended> {
    const config = join(world.directory, "config.json");
    const trustedPublicKeys: unknown[] = trusted.map((text) => JSON.parse(text));
    writeFileSync(config, JSON.stringify({ trustedPublicKeys }));
    const args = [
      "--config",
      config,
      "--store-socket",
      daemon.socket,
      "build",
      "build.lua#diamond",
    ];
    return await world.run(zbHead!, args, { cwd: join(world.directory, "lua") });
  }

  async function lastStates(daemon: Daemon): Promise<string[]> {
    await using client = await StoreClient.connect(daemon.socket);
    const { builds } = await client.call("kiln.builds", { limit: 1 });
    const { results } = await client.call("kiln.results", { buildID: builds[0]!.id });
    return [...new Set(results.map(({ state }) => state))];
  }

  test("who trusts the key reuses, who trusts another one builds", async () => {
    await using world = await World.open();
    mkdirSync(join(world.directory, "lua"));
    cpSync(join(fixtures, "lua"), join(world.directory, "lua"), { recursive: true });
    const publicKeys: string[] = [];
    for (const name of ["mine", "other"]) {
      const file = join(world.directory, name);
      await world.run(kilnProgram, ["key", "generate", "-o", file]);
      const shown = await world.run(kilnProgram, ["key", "show-public", file]);
      publicKeys.push(shown.stdout.toString());
    }
    const [mine, other] = publicKeys as [string, string];
    const daemon = await world.serve(kilnProgram, [
      "--sandbox=false",
      "--build-users-group=",
      `--signing-key=${join(world.directory, "mine")}`,
    ]);
    const first = await build(world, daemon, [mine]);
    assert.equal(first.code, 0, first.stderr);
    assert.deepEqual(await lastStates(daemon), ["built"]);
    const again = await build(world, daemon, [other, mine]);
    assert.equal(again.stdout.toString(), first.stdout.toString());
    assert.deepEqual(await lastStates(daemon), ["reused"]);
    await build(world, daemon, [other]);
    assert.deepEqual(await lastStates(daemon), ["built"]);
    await build(world, daemon, []);
    assert.deepEqual(await lastStates(daemon), ["reused"]);
  });
});
