// Builds from end to end: each case's derivations, realised by a Kiln on an empty /opt/zb/store.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { existsSync, readdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { dumpNar } from "../../src/files/dump.ts";
import { parseStorePath } from "../../src/format/store-path.ts";
import { StoreClient } from "../../src/rpc/client.ts";
import { finishedBuild } from "../support/builds.ts";
import { FreshServers } from "../support/fresh-servers.ts";
import { needsWorld } from "../support/world.ts";
import { loadVectors, type VectorCase } from "./load.ts";

interface Input {
  readonly stream: string;
  readonly sources: readonly { readonly path?: string; readonly storePath?: string }[];
  readonly derivations: readonly {
    readonly drvPath: string;
    readonly derivation: { readonly system: string };
  }[];
  readonly targets: readonly string[];
  readonly http?: { readonly base: string; readonly files: Readonly<Record<string, string>> };
}

interface Output {
  readonly status: string;
  readonly results: readonly {
    readonly drvPath: string;
    readonly status: string;
    readonly log: string;
    readonly outputs: readonly { readonly name: string; readonly path: string | null }[];
  }[];
  readonly objects: Readonly<
    Record<
      string,
      { narHash: string; narSize: number; references: string[]; ca: string; nar?: string }
    >
  >;
  readonly leftInStore: readonly string[];
}

interface Measured {
  readonly status: string;
  readonly results: {
    drvPath: string;
    status: string;
    log: string;
    outputs: { name: string; path: string | null }[];
  }[];
}

async function realize(client: StoreClient, input: Input): Promise<Measured> {
  await client.importStream([Buffer.from(input.stream, "base64")]);
  const { buildID } = await client.call("zb.realize", {
    drvPath: input.targets.map(parseStorePath),
  });
  const build = await finishedBuild(client, buildID);
  const results: Measured["results"] = [];
  for (const { drvPath, status, outputs } of build.results) {
    const parts: Buffer[] = [];
    for (let at = 0, eof = false; !eof;) {
      const chunk = await client.call("zb.readLog", { buildID, drvPath, rangeStart: at });
      const bytes =
        chunk.base64 === undefined
          ? Buffer.from(chunk.text ?? "")
          : Buffer.from(chunk.base64, "base64");
      parts.push(bytes);
      at += bytes.length;
      eof = chunk.eof;
    }
    results.push({
      drvPath,
      status,
      log: Buffer.concat(parts).toString(),
      outputs: outputs.map(({ name, path }) => ({ name, path })),
    });
  }
  return { status: build.status, results };
}

/** The builder's own lines: those about a failure are worded by the server. */
const ownLines = (log: string): string[] =>
  log.split("\n").filter((line) => !line.startsWith("*** Build failed"));

function compare(vector: VectorCase, actual: Measured, input: Input): void {
  const expected = vector.out as Output;
  const status = vector.kiln?.status ?? expected.status;
  assert.equal(actual.status, status, actual.results.map((result) => result.log).join("\n"));
  for (const wanted of expected.results) {
    const result = actual.results.find((one) => one.drvPath === wanted.drvPath);
    assert.ok(result !== undefined, `no result for ${wanted.drvPath}`);
    assert.equal(
      result.status,
      vector.kiln?.status !== undefined && wanted.status === expected.status
        ? status
        : wanted.status,
    );
    const changed = vector.kiln?.status !== undefined;
    if (!changed || status !== "success") assert.deepEqual(result.outputs, wanted.outputs);
    const { system } = input.derivations.find((one) => one.drvPath === wanted.drvPath)!.derivation;
    if (changed || system === "builtin") continue;
    if (wanted.status === "success") assert.equal(result.log, wanted.log);
    if (wanted.status === "fail") assert.deepEqual(ownLines(result.log), ownLines(wanted.log));
  }
}

describe("derivations realised from end to end", { skip: needsWorld }, () => {
  let servers: FreshServers;
  before(async () => {
    servers = await FreshServers.open();
  });
  after(async () => {
    await servers?.[Symbol.asyncDispose]();
  });

  for (const vector of loadVectors("realize").cases) {
    const skip = vector.kiln?.skip ?? false;
    test(`${vector.id}: ${vector.note}`, { skip, timeout: 60_000 }, async () => {
      const input = vector.in as Input;
      const client = await StoreClient.connect(await servers.fresh({ http: input.http }));
      assert.equal(vector.ok, true, "all cases are accepted");
      const actual = await realize(client, input);
      compare(vector, actual, input);
      const { objects, leftInStore } = vector.out as Output;
      for (const [path, wanted] of Object.entries(objects)) {
        const { info } = await client.call("zb.info", { path: parseStorePath(path) });
        const { narHash, narSize, references, ca } = wanted;
        assert.deepEqual(info, { narHash, narSize, references, ca });
        if (wanted.nar !== undefined) {
          const nar = Buffer.concat(
            [...dumpNar(servers.world.path(path))].map((chunk) => Buffer.from(chunk)),
          );
          assert.ok(nar.equals(Buffer.from(wanted.nar, "base64")), `${path} differs on disk`);
        }
      }
      const succeeded = vector.kiln?.status === "success";
      const known = new Set([
        ...Object.keys(objects),
        ...leftInStore.map((name) => `/opt/zb/store/${name}`),
      ]);
      for (const name of readdirSync(servers.world.path("/opt/zb/store"))) {
        const path = `/opt/zb/store/${name}`;
        if (name === ".kiln" || known.has(path) || succeeded) continue;
        const { info } = await client.call("zb.info", { path: parseStorePath(path) });
        assert.notEqual(info, null, `${path} was left in the store`);
        assert.ok(input.stream.length > 0 && existsSync(servers.world.path(path)));
      }
      await client.close();
    });
  }
});
