// Stores made by the real zb, taken over by Kiln: afterwards the same inputs build nothing.
import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { StoreClient } from "../src/rpc/client.ts";
import { needsZb, needsZbHead, zb, zbHead } from "./support/peers.ts";
import { type Ended, kilnProgram, needsWorld, World } from "./support/world.ts";

const serveFlags = ["--sandbox=false", "--build-users-group=", "--cores-per-build=1"];
const fixtures = fileURLToPath(new URL("./fixtures", import.meta.url));
const targets = ["diamond", "selfish", "usesFixed", "tree", "text"];

interface Report {
  readonly adopted: readonly string[];
  readonly mended: readonly string[];
  readonly leftOut: readonly { readonly path: string; readonly code: string }[];
  readonly realizations: number;
  readonly builds: number;
  readonly droppedSignatures: number;
}

/** zb's life before Kiln. */
class Before implements AsyncDisposable {
  readonly world: World;
  readonly #program: string;

  private constructor(world: World, program: string) {
    this.world = world;
    this.#program = program;
  }

  static async open(program: string): Promise<Before> {
    const world = await World.open();
    cpSync(join(fixtures, "lua"), join(world.directory, "lua"), {
      recursive: true,
      verbatimSymlinks: true,
    });
    // zb makes what a link points to executable.
    symlinkSync("a", join(world.directory, "lua/dir/link-to-a"));
    return new Before(world, program);
  }

  /** Lets zb serve, and builds everything. */
  async build(
    flags: readonly string[] = [],
  ): Promise<{ printed: string; stop: () => Promise<unknown> }> {
    const daemon = await this.world.serve(this.#program, [...serveFlags, ...flags]);
    const failed = await this.zb("build", "build.lua#fails");
    assert.equal(failed.code, 1);
    const printed = await this.buildAll();
    return { printed, stop: async () => await daemon.stop() };
  }

  async buildAll(): Promise<string> {
    const ended = await this.zb("build", ...targets.map((target) => `build.lua#${target}`));
    assert.equal(ended.code, 0, ended.stderr);
    return ended.stdout.toString();
  }

  async zb(...args: string[]): Promise<Ended> {
    return await this.world.run(
      this.#program,
      ["--store-socket", this.#file("serve.sock"), ...args],
      {
        cwd: this.#file("lua"),
      },
    );
  }

  async adopt(...flags: string[]): Promise<Ended> {
    const { world } = this;
    return await world.run(kilnProgram, [
      "store",
      "adopt",
      `--store-socket=${this.#file("serve.sock")}`,
      `--zb-db=${this.#file("serve.db")}`,
      `--log-directory=${this.#file("serve.log")}`,
      ...flags,
    ]);
  }

  #file(name: string): string {
    return join(this.world.directory, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
  }
}

for (const [version, program, skip] of [
  ["v0.1.0", zb, needsWorld || needsZb],
  ["v0.2", zbHead, needsWorld || needsZbHead],
] as const) {
  describe(`a store of zb ${version}`, { skip }, () => {
    test("is refused while its daemon runs, and by serve, which says what to do", async () => {
      await using before = await Before.open(program!);
      const { stop } = await before.build();
      const early = await before.adopt();
      assert.equal(early.code, 1);
      assert.match(early.stderr, /a daemon answers at .*\[zb\.running\]/);
      const hidden = await before.adopt(`--store-socket=${before.world.directory}/none`);
      assert.match(hidden.stderr, /another program has it open.*\[zb\.running\]/);
      await stop();
      const serve = await before.world.run(kilnProgram, [
        "serve",
        ...serveFlags,
        `--db=${before.world.directory}/serve.db`,
        `--store-socket=${before.world.directory}/none`,
      ]);
      assert.equal(serve.code, 1);
      const hint = /run: kiln (store adopt --zb-db .*)/.exec(serve.stderr)?.[1];
      assert.ok(hint !== undefined, serve.stderr);
      const adopted = await before.world.run(kilnProgram, hint.split(" "));
      assert.equal(adopted.code, 0, adopted.stderr);
      assert.match(
        adopted.stdout.toString(),
        /^adopted \d+ objects of .*, \d+ realisations, \d+ builds$/m,
      );
    });

    test("is Kiln's, and building the same builds nothing", async () => {
      await using before = await Before.open(program!);
      const { world } = before;
      const keys = version === "v0.2" ? [join(world.directory, "key")] : [];
      for (const key of keys) await world.run(program!, ["key", "generate", "-o", key]);
      const { printed, stop } = await before.build(keys.map((key) => `--signing-key=${key}`));
      const names = readdirSync(world.path("/opt/zb/store")).toSorted();
      const damaged = names.find((name) => name.endsWith("-dir"));
      const mode = statSync(world.path(`/opt/zb/store/${damaged}/a`)).mode & 0o777;
      await stop();
      const ended = await before.adopt("--json");
      assert.equal(ended.code, 0, ended.stderr);
      const report = JSON.parse(ended.stdout.toString()) as Report;
      assert.deepEqual(report.leftOut, []);
      assert.deepEqual(
        report.adopted.toSorted(),
        names.map((name) => `/opt/zb/store/${name}`),
      );
      assert.deepEqual([report.realizations, report.builds, report.droppedSignatures], [10, 2, 0]);
      assert.equal(mode, 0o555, "zb has damaged it");
      assert.ok(report.mended.includes(`/opt/zb/store/${damaged}`));

      const daemon = await world.serve(kilnProgram, serveFlags);
      assert.equal(await before.buildAll(), printed);
      const client = await StoreClient.connect(daemon.socket);
      const { builds } = await client.call("kiln.builds", {});
      assert.equal(builds.length, 3);
      const { results } = await client.call("kiln.results", { buildID: builds[0]!.id });
      assert.ok(results.length >= 9, `${results.length} results`);
      assert.deepEqual(new Set(results.map(({ state }) => state)), new Set(["reused"]));
      const signatures = results.flatMap(({ outputs }) => outputs.map((o) => o.signatures?.length));
      assert.deepEqual(new Set(signatures), new Set([keys.length]));
      assert.deepEqual(
        builds.map(({ state }) => state),
        ["reused", "built", "failed"],
      );
      // Its logs are found, too.
      const [failure] = (await client.call("kiln.results", { buildID: builds[2]!.id })).results;
      const log = await client.call("zb.readLog", {
        buildID: builds[2]!.id,
        drvPath: failure!.drvPath,
      });
      assert.match(log.text ?? "", /about to fail/);
      await client.close();
      assert.ok(existsSync(join(world.directory, "serve.db.zb")));
    });
  });
}
