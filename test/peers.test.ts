// The unmodified zb client's life against `kiln serve` and against `zb serve`, given the same input in the same store
// directory: the same exit codes, the same words on stdout, the same logs, the same exported bytes.
import assert from "node:assert/strict";
import { cpSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { parseStorePath } from "../src/format/store-path.ts";
import { StoreClient } from "../src/rpc/client.ts";
import { needsZb, needsZbHead, zb, zbHead } from "./support/peers.ts";
import { type Daemon, type Ended, kilnProgram, needsWorld, World } from "./support/world.ts";

const serveFlags = ["--sandbox=false", "--build-users-group=", "--cores-per-build=1"];
const fixtures = fileURLToPath(new URL("./fixtures", import.meta.url));

/** One zb server or one Kiln server with the build files beside it, and a zb client. */
class Side implements AsyncDisposable {
  readonly world: World;
  readonly daemon: Daemon;
  readonly #client: string;

  private constructor(world: World, daemon: Daemon, client: string) {
    this.world = world;
    this.daemon = daemon;
    this.#client = client;
  }

  static async open(server: string, client: string): Promise<Side> {
    const world = await World.open();
    try {
      cpSync(join(fixtures, "lua"), join(world.directory, "lua"), {
        recursive: true,
        verbatimSymlinks: true,
      });
      return new Side(world, await world.serve(server, serveFlags), client);
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  async zb(...args: string[]): Promise<Ended> {
    return await this.world.run(this.#client, ["--store-socket", this.daemon.socket, ...args], {
      cwd: join(this.world.directory, "lua"),
    });
  }

  /** What a person reads, less what differs from run to run: times, build ids, folders of this world. */
  words(text: string): string {
    return text
      .replaceAll(this.world.directory, "WORLD")
      .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g, "BUILD")
      .replaceAll(/^zb: \S+ \S+ /gm, "zb: ")
      .replaceAll(/zb-build-([a-z-]+)-[0-9A-Za-z]+/g, "zb-build-$1-RANDOM")
      .replaceAll(/&\{0x[0-9a-f]+ /g, "&{POINTER ");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
  }
}

interface Step {
  readonly args: string[];
  readonly code: number;
  /** Kiln's answer differs on purpose: only the exit code and stdout are compared. */
  readonly otherWords?: string;
}

const build = (...targets: string[]): string[] => [
  "build",
  ...targets.map((target) => `build.lua#${target}`),
];

const steps: Step[] = [
  { args: build("one"), code: 0 },
  { args: build("one"), code: 0 },
  {
    args: build("diamond", "one"),
    code: 0,
    otherWords: "independent builders may log in another order",
  },
  { args: build("selfish", "usesFixed"), code: 0 },
  { args: build("tree", "text"), code: 0 },
  { args: build("afterFail"), code: 1 },
  {
    args: build("wrongHash"),
    code: 1,
    otherWords: "a wrong output is the author's failure, not an internal error",
  },
  { args: build("noOutput"), code: 1 },
  { args: build("killed"), code: 1 },
  { args: ["build", "--keep-failed", "build.lua#fails"], code: 1 },
  { args: ["eval", "build.lua#diamond"], code: 0 },
  { args: ["eval", "-e", "1+1"], code: 0 },
  { args: ["derivation", "env", "build.lua#two"], code: 0 },
  { args: ["derivation", "env", "--json", "build.lua#two"], code: 0 },
  { args: ["derivation", "show", "--json", "build.lua#diamond"], code: 0 },
  {
    args: ["store", "object", "info", "/opt/zb/store/a3vn6g9g2y76l0py4snl172ixnn39xr1-hello.txt"],
    code: 1,
  },
];

/** Store paths that the steps print on success. */
function printed(results: readonly Ended[]): string[] {
  const successes = results.filter((_, at) => steps[at]!.code === 0);
  const lines = successes.flatMap((ended) => ended.stdout.toString().split("\n"));
  return [...new Set(lines.filter((line) => line.startsWith("/opt/zb/store/")))].toSorted();
}

for (const [version, client, skip] of [
  ["v0.1.0", zb, needsWorld || needsZb],
  ["v0.2", zbHead, needsWorld || needsZbHead || needsZb],
] as const) {
  describe(`zb's client ${version} against kiln serve`, { skip }, () => {
    let theirs: Side;
    let ours: Side;
    const theirResults: Ended[] = [];
    const ourResults: Ended[] = [];

    before(async () => {
      theirs = await Side.open(client!, client!);
      ours = await Side.open(kilnProgram, client!);
      for (const step of steps) {
        theirResults.push(await theirs.zb(...step.args));
        ourResults.push(await ours.zb(...step.args));
      }
    });
    after(async () => {
      await theirs?.[Symbol.asyncDispose]();
      await ours?.[Symbol.asyncDispose]();
    });

    for (const [at, step] of steps.entries()) {
      test(`zb ${step.args.join(" ")} (step ${at + 1}) ends as with zb serve`, () => {
        const [their, our] = [theirResults[at]!, ourResults[at]!];
        // v0.2's client ends with 0 after a wrong fixed output, and its words come in another order from run to run.
        if (version === "v0.1.0") assert.equal(their.code, step.code, their.stderr);
        assert.equal(our.code, their.code, our.stderr);
        const asJson = step.args.includes("--json");
        const comparable = (side: Side, text: string): unknown =>
          asJson ? JSON.parse(side.words(text)) : side.words(text);
        assert.deepEqual(
          comparable(ours, our.stdout.toString()),
          comparable(theirs, their.stdout.toString()),
        );
        if (step.otherWords === undefined && version === "v0.1.0") {
          // On a busy machine zb's client may end before it has read the log from zb's server: it says less then.
          const said = ours.words(our.stderr).split("\n");
          const expected = theirs.words(their.stderr).split("\n");
          const missing = expected.filter((line) => !said.includes(line));
          assert.deepEqual(missing, []);
          if (expected.some((line) => line.startsWith("---"))) assert.deepEqual(said, expected);
        }
      });
    }

    test("every object has the same info and the same exported bytes, alone and with its closure", async () => {
      const paths = printed(theirResults);
      assert.ok(paths.length >= 6, `only ${paths.length} paths were built`);
      for (const path of paths) {
        const [their, our] = [
          await theirs.zb("store", "object", "info", "--json", path),
          await ours.zb("store", "object", "info", "--json", path),
        ];
        assert.equal(our.code, 0, our.stderr);
        assert.deepEqual(JSON.parse(our.stdout.toString()), JSON.parse(their.stdout.toString()));
        for (const references of ["--references=true", "--references=false"]) {
          const expected = await theirs.zb("store", "object", "export", references, path);
          const actual = await ours.zb("store", "object", "export", references, path);
          assert.equal(actual.code, 0, actual.stderr);
          assert.ok(expected.stdout.length > 100);
          assert.ok(actual.stdout.equals(expected.stdout), `${path} with ${references} differs`);
        }
      }
      const all = await ours.zb("store", "object", "export", ...paths);
      assert.ok(all.stdout.equals((await theirs.zb("store", "object", "export", ...paths)).stdout));
    });

    test("what one Kiln exports another one imports", async () => {
      const paths = printed(ourResults);
      const exported = await ours.zb("store", "object", "export", ...paths);
      await using world = await World.open();
      const second = await world.serve(kilnProgram, serveFlags);
      const flags = ["--store-socket", second.socket];
      const imported = await world.run(client!, [...flags, "store", "object", "import"], {
        input: exported.stdout,
      });
      assert.equal(imported.code, 0, imported.stderr);
      const again = await world.run(client!, [...flags, "store", "object", "export", ...paths]);
      assert.ok(again.stdout.equals(exported.stdout));
    });

    test("a kept build directory of a failed build holds what the builder left there", () => {
      const at = steps.findIndex((step) => step.args.includes("--keep-failed"));
      const kept = /Build directory available at (\S+)/.exec(ourResults[at]!.stderr)?.[1];
      assert.ok(kept !== undefined && existsSync(kept), `${kept} is missing`);
    });
  });
}

describe("several outputs, which zb's language cannot say", { skip: needsWorld || needsZb }, () => {
  interface RealizeCase {
    readonly id: string;
    readonly in: {
      readonly stream: string;
      readonly derivations: { derivation: { outputs: unknown[] } }[];
      readonly targets: string[];
    };
    readonly ok: boolean;
    readonly kiln?: unknown;
    readonly out?: { status: string };
  }
  const { cases } = JSON.parse(readFileSync(join(fixtures, "vectors/realize.json"), "utf8")) as {
    cases: RealizeCase[];
  };
  const several = cases.filter(
    (c) =>
      c.ok &&
      c.kiln === undefined &&
      c.out?.status === "success" &&
      c.in.derivations.some((d) => d.derivation.outputs.length > 1),
  );

  for (const vector of several) {
    test(`${vector.id}: same paths and bytes from both servers`, async () => {
      const answers = [];
      for (const server of [zb!, kilnProgram]) {
        await using world = await World.open();
        const daemon = await world.serve(server, serveFlags);
        const client = await StoreClient.connect(daemon.socket);
        await client.importStream([Buffer.from(vector.in.stream, "base64")]);
        const { buildID } = await client.call("zb.realize", {
          drvPath: vector.in.targets.map(parseStorePath),
        });
        let view = await client.call("zb.getBuild", { buildID });
        while (view.status === "active") {
          await new Promise((resolve) => setTimeout(resolve, 20));
          view = await client.call("zb.getBuild", { buildID });
        }
        assert.equal(view.status, "success");
        const outputs = view.results
          .flatMap((result) => result.outputs.map((output) => output.path!))
          .toSorted();
        const exported = await world.run(zb!, [
          "--store-socket",
          daemon.socket,
          "store",
          "object",
          "export",
          ...outputs,
        ]);
        assert.equal(exported.code, 0, exported.stderr);
        answers.push({ outputs, exported: exported.stdout.toString("base64") });
        await client.close();
      }
      assert.deepEqual(answers[1], answers[0]);
    });
  }

  test("there are such cases", () => assert.ok(several.length > 0));
});
