// Random requests, put to zb and to Kiln: both give the same answers. The same requests each time; KILN_SEED=N asks others and
// KILN_CASES=N more of them.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { derivationPath } from "../../src/format/derivation/print.ts";
import { StoreClient } from "../../src/rpc/client.ts";
import { finishedBuild } from "../support/builds.ts";
import { exportOf, shell } from "../support/derivations.ts";
import { needsZb, zb } from "../support/peers.ts";
import { randomFrom } from "../support/random.ts";
import { Wire } from "../support/transcript.ts";
import { type Daemon, kilnProgram, needsWorld, World } from "../support/world.ts";
import { RequestMaker } from "./requests.ts";

const cases = Number(process.env["KILN_CASES"] ?? 300);
const seed = Number(process.env["KILN_SEED"] ?? 1);

const derivations = [
  shell("one", "echo building; echo hi > $out"),
  shell("bad", "echo oh; exit 3"),
  shell("bytes", String.raw`printf '\377\376'; mkdir $out; echo x > $out/x`),
];
const drvPaths = derivations.map(derivationPath);

/** Stand for the ids of builds, which are each server's own; as long as they are. */
const buildNames = drvPaths.map((_, i) => `build-${i}`.padEnd(36, "-"));

class Side implements AsyncDisposable {
  readonly #world: World;
  readonly #daemon: Daemon;
  readonly #builds: readonly string[];
  readonly objects: readonly string[];

  private constructor(
    parts: { readonly world: World; readonly daemon: Daemon },
    { builds, objects }: { readonly builds: string[]; readonly objects: string[] },
  ) {
    this.#world = parts.world;
    this.#daemon = parts.daemon;
    this.#builds = builds;
    this.objects = objects;
  }

  static async open(program: string): Promise<Side> {
    const world = await World.open();
    try {
      const daemon = await world.serve(program, [
        "--sandbox=false",
        "--build-users-group=",
        "--cores-per-build=1",
      ]);
      const client = await StoreClient.connect(daemon.socket);
      await client.importStream([exportOf(derivations)]);
      const builds: string[] = [];
      const objects: string[] = [];
      for (const drvPath of drvPaths) {
        const { buildID } = await client.call("zb.realize", { drvPath: [drvPath] });
        builds.push(buildID);
        for (const { outputs } of (await finishedBuild(client, buildID)).results) {
          objects.push(...outputs.flatMap(({ path }) => path ?? []));
        }
      }
      await client.close();
      return new Side({ world, daemon }, { builds, objects });
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What comes back for one message, with the names of builds instead of their ids. */
  async answers(body: string): Promise<Answer[]> {
    using wire = await Wire.open(this.#daemon.socket);
    const bytes = Buffer.from(this.#swap(body, buildNames, this.#builds));
    const header = `Content-Length: ${bytes.length}\r\nContent-Type: application/zb-store-rpc+json\r\n\r\n`;
    wire.send(Buffer.concat([Buffer.from(header), bytes]));
    wire.end();
    const answers: Answer[] = [];
    for (;;) {
      const message = await wire.message();
      if (message === undefined) return answers;
      const text = this.#swap(message.body.toString(), this.#builds, buildNames);
      answers.push(JSON.parse(text) as Answer);
    }
  }

  #swap(text: string, from: readonly string[], to: readonly string[]): string {
    return from.reduce((swapped, name, i) => swapped.replaceAll(name, to[i]!), text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#world[Symbol.asyncDispose]();
  }
}

interface Answer {
  readonly id: unknown;
  readonly result?: unknown;
  readonly error?: { readonly code: number };
}

/** Whether `ours` says all that `theirs` does; it may say more. Times and ids of new builds are each server's own. */
function says(ours: unknown, theirs: unknown, name = ""): boolean {
  if (["startedAt", "endedAt", "buildID"].includes(name)) return typeof ours === typeof theirs;
  if (typeof theirs !== "object" || theirs === null) return ours === theirs;
  if (typeof ours !== "object" || ours === null) return false;
  if (Array.isArray(theirs) && (!Array.isArray(ours) || ours.length !== theirs.length))
    return false;
  const members = ours as Record<string, unknown>;
  return Object.entries(theirs).every(([key, value]) => says(members[key], value, key));
}

function isSame(ours: readonly Answer[], theirs: readonly Answer[]): boolean {
  return (
    ours.length === theirs.length &&
    theirs.every(({ id, result, error }, i) => {
      const our = ours[i];
      return our?.id === id && our?.error?.code === error?.code && says(our?.result, result);
    })
  );
}

describe("random requests", { skip: needsZb || needsWorld }, () => {
  let sides: readonly [theirs: Side, ours: Side];
  before(async () => {
    sides = await Promise.all([Side.open(zb!), Side.open(kilnProgram)]);
  });
  after(async () => {
    for (const side of sides ?? []) await side[Symbol.asyncDispose]();
  });

  test(`get the same ${cases} answers from zb and Kiln (seed ${seed})`, async () => {
    const [theirs, ours] = sides;
    assert.deepEqual(ours.objects, theirs.objects);
    const maker = new RequestMaker(randomFrom(seed), {
      derivations: drvPaths,
      objects: ours.objects,
      builds: buildNames,
    });
    let answered = 0;
    for (let i = 0; i < cases; i++) {
      const body = maker.next();
      const [their, our] = await Promise.all([theirs.answers(body), ours.answers(body)]);
      assert.ok(
        isSame(our, their),
        `to ${JSON.stringify(body)}\nzb said ${JSON.stringify(their)}\nKiln said ${JSON.stringify(our)}`,
      );
      answered += their.filter(({ error }) => error === undefined).length;
    }
    assert.ok(answered > cases / 5, `only ${answered} requests were granted`);
  });
});
