// Configuration files, as the command finds and uses them.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { StoreClient } from "../src/rpc/client.ts";
import { hostFolders, Place, shellTargets } from "./support/cli.ts";
import { needsZbHead, zbHead } from "./support/peers.ts";
import { needsWorld, World } from "./support/world.ts";

test("a daemon and its clients find store, socket, keys and trust in them; flags and environment win", async () => {
  await using place = new Place();
  const env = { ZB_STORE_DIR: undefined, XDG_CONFIG_HOME: place.project };
  for (const name of ["mine", "other"]) await place.run(["key", "generate", "-o", name]);
  const [mine, other] = await Promise.all(
    ["mine", "other"].map(async (name) => {
      const { stdout } = await place.run(["key", "show-public", name]);
      return stdout.toString();
    }),
  );
  place.write(
    "kiln/config.json",
    `{
      // all of it
      "storeDirectory": ${JSON.stringify(place.store)},
      "storeSocket": "../socket",
      "trustedPublicKeys": [${mine}],
      "server": { "signingKeyFiles": ["../mine"], "upload": null },
      "httpCache": "cache", // zb's
    }`,
  );
  place.write("kiln.build.ts", shellTargets({ default: "echo hi > $out" }));
  const daemon = await place.serve([`--sandbox-path=${hostFolders.join(" ")}`], { env });
  assert.match(daemon.stderr(), /without effect: httpCache in .*config\.json, server\.upload in /);
  assert.ok(existsSync(join(place.project, "socket")));
  await using client = await StoreClient.connect(join(place.project, "socket"));

  const states: string[] = [];
  const build = async (...flags: string[]): Promise<void> => {
    const ended = await place.run(["build", "-q", ...flags], { env });
    assert.equal(ended.code, 0, ended.stderr);
    states.push((await client.call("kiln.builds", { limit: 1 })).builds[0]!.state);
  };
  await build();
  await build();
  place.write("trust.json", `{"trustedPublicKeys": [${other}]}`);
  await build("--config", "trust.json");
  await client.close();
  assert.deepEqual(states, ["built", "reused", "reused"], "trusted keys add up");

  const elsewhere = await place.run(["ps", "--store-socket", "/none"], { env });
  assert.match(elsewhere.stderr, /no daemon at \/none/);
  const named = { ...env, ZB_STORE_SOCKET: "/none" };
  assert.match((await place.run(["ps"], { env: named })).stderr, /no daemon at \/none/);
  const broken = await place.run(["ps", "--config", "kiln.build.ts"], { env });
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, /\[config\.syntax\]\n {2}at {4}.*kiln\.build\.ts:1:1/);
  const version = await place.run(["version", "--config", "kiln.build.ts"], { env });
  assert.equal(version.code, 0, "which needs none");
});

test("zb v0.2 reads the same file", { skip: needsZbHead || needsWorld }, async () => {
  await using world = await World.open();
  const folder = join(world.directory, ".config/zb");
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), `{ /* both */ "storeSocket": "s/ocket", }`);
  const socket = join(folder, "s/ocket");
  const child = world.spawn(zbHead!, [
    "store",
    "object",
    "info",
    `/opt/zb/store/${"0".repeat(32)}-x`,
  ]);
  let said = "";
  for await (const chunk of child.stderr!) {
    said += String(chunk);
    if (said.includes(socket)) break;
  }
  child.kill("SIGKILL");
  assert.ok(said.includes(`dial unix ${socket}`), said);
  const kiln = await world.run(process.execPath, [
    join(import.meta.dirname, "../dist/bundle/main.js"),
    "ps",
  ]);
  assert.ok(kiln.stderr.includes(`no daemon at ${socket}`), kiln.stderr);
});
