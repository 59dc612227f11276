// The unmodified zb client's whole life, v0.1.0's and the newest, with Kiln's daemon and with zb's own, side by side: the same store
// paths, the same statuses, the same logs, the same bytes, but for the differences that are on purpose.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import { derivationPath } from "../src/format/derivation/print.ts";
import { parseStorePath } from "../src/format/store-path.ts";
import { exportOf } from "./support/derivations.ts";
import { needsZb, needsZbHead, zb, zbHead } from "./support/peers.ts";
import { kilnProgram, needsWorld } from "./support/world.ts";
import { LifeSide, type Outcome } from "./support/zb-life.ts";
import {
  type Aspect,
  builds,
  type DifferenceName,
  differences,
  type LifeBuild,
} from "./support/zb-life-builds.ts";
import { ofSeveral, several, siblings, text } from "./support/zb-life-wire.ts";

/** What a client said, less what it says for those who mend it. */
const said = (stderr: string): string => stderr.replaceAll(/^zb: \S+ \S+ DEBUG: .*\n/gm, "");
const nameOf = ({ targets }: LifeBuild): string => targets.join(" ");
const drvPath = derivationPath;
const absent = `/opt/zb/store/${"0".repeat(32)}-absent`;

/** All that one side lives through; the tests look at it afterwards. */
async function live(side: LifeSide) {
  const outcomes = new Map<string, Outcome>();
  for (const build of builds) outcomes.set(nameOf(build), await side.build(build));
  const twice = await side.twoAtOnce("together.lua#both");
  await side.client.importStream([exportOf([several, ofSeveral, siblings, text])]);
  outcomes.set("several outputs", await side.realize([drvPath(several), drvPath(ofSeveral)]));
  outcomes.set("a fixed text", await side.realize([drvPath(text)]));
  outcomes.set("siblings", await side.realize([drvPath(siblings)]));
  outcomes.set("interrupted", await side.interrupted("together.lua#slow"));
  const marks = side.marks();
  const again = await side.build({ targets: everything });
  const marksAfterwards = side.marks();
  const left = outcomes.get("graphs#diamond")!.results;
  const gone = [...left.values()]
    .flatMap(({ outputs }) => outputs)
    .find((o) => o.endsWith("-left"))!;
  await side.delete(gone.slice("out=".length));
  const planned = await side.build({ targets: ["graphs#through"] });
  const runsOfLeft = side.marks()["left"];
  const exportOfAbsent = await side.endOf(1500, "store", "object", "export", absent);
  return { outcomes, twice, marks, again, marksAfterwards, planned, runsOfLeft, exportOfAbsent };
}

/** What both servers can build. */
const everything = builds
  .filter(({ status, differs }) => {
    const isOnlyOurs = differs === "archives" || differs === "parallel";
    return status === "success" && !isOnlyOurs;
  })
  .flatMap(({ targets }) => targets);

/** The parts of an outcome that are compared, each by itself. */
function aspectsOf(outcome: Outcome, { random = [] }: Pick<LifeBuild, "random"> = {}) {
  const digests = new RegExp(`/[0-9a-z]{32}-(?=(?:${random.join("|")})$)`, "g");
  const results = [...outcome.results].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const same = (path: string): string => (random.length > 0 ? path.replace(digests, "/") : path);
  return {
    code: outcome.code,
    stdout: outcome.stdout,
    statuses: outcome.statuses,
    results: results.map(([path, { status, outputs }]) => ({
      path,
      status,
      outputs: outputs.map(same),
    })),
    logs: results.map(([path, { log }]) => [path, log]),
  } satisfies Record<Aspect, unknown>;
}

const aspects: readonly Aspect[] = ["code", "stdout", "statuses", "results", "logs"];

/** Which aspects are not the same. */
function differingAspects(their: Outcome, our: Outcome, build?: LifeBuild): Aspect[] {
  const [theirs, ours] = [aspectsOf(their, build), aspectsOf(our, build)];
  return aspects.filter((aspect) => !isDeepStrictEqual(ours[aspect], theirs[aspect]));
}

type Life = Awaited<ReturnType<typeof live>>;

// Both lives at once: they wait for each other's daemons most of the time.
describe("side by side", { concurrency: true }, () => {
  for (const [version, client, skip] of [
    ["v0.1.0", zb, needsWorld || needsZb],
    ["v0.2", zbHead, needsWorld || needsZbHead],
  ] as const) {
    describe(
      `the life of zb's client ${version} with kiln serve and with zb serve`,
      { skip },
      () => {
        let theirs: LifeSide;
        let ours: LifeSide;
        let their: Life;
        let our: Life;
        const seen = new Set<DifferenceName>();

        before(async () => {
          [theirs, ours] = await Promise.all([
            LifeSide.open(client!, client!),
            LifeSide.open(kilnProgram, client!),
          ]);
          [their, our] = await Promise.all([live(theirs), live(ours)]);
        });
        after(async () => {
          await theirs?.[Symbol.asyncDispose]();
          await ours?.[Symbol.asyncDispose]();
        });

        /** What zb's and Kiln's daemon made of it; they may differ in what the difference is about, nothing else. */
        function compare(
          name: string,
          build: LifeBuild | undefined,
          differs?: DifferenceName,
        ): void {
          const [a, b] = [their.outcomes.get(name)!, our.outcomes.get(name)!];
          const differing = differingAspects(a, b, build);
          const allowed = differs === undefined ? undefined : differences[differs];
          const isExpected = allowed !== undefined && (allowed.only ?? version) === version;
          const expected: readonly Aspect[] = isExpected ? allowed.in : [];
          if (isExpected && differing.length > 0) seen.add(differs!);
          const [theirAspects, ourAspects] = [aspectsOf(a, build), aspectsOf(b, build)];
          for (const aspect of aspects) {
            if (expected.includes(aspect)) continue;
            assert.deepEqual(ourAspects[aspect], theirAspects[aspect]);
          }
        }

        for (const build of builds) {
          const name = nameOf(build);
          const isOurs = !(build.isFixed === true && version === "v0.2");
          test(`building ${name} ends with ${build.status}, as with zb${build.differs ? ` but for: ${differences[build.differs].about}` : ""}`, () => {
            const { code, statuses, stderr } = our.outcomes.get(name)!;
            if (isOurs) {
              assert.equal(code, build.status === "success" ? 0 : 1, said(stderr));
              assert.equal(statuses.at(-1), build.status, said(stderr));
            }
            compare(name, build, isOurs ? build.differs : undefined);
          });
        }

        test("what is random is made once and shared by all that need it", () => {
          assert.equal(our.marks["dice"], 1);
          assert.equal(their.marks["dice"], 1);
          const paths = ["random#shared", "random#sharedAgain"].map((name) =>
            [...our.outcomes.get(name)!.results.values()]
              .flatMap(({ outputs }) => outputs)
              .filter((output) => /-(?:dice|one|two)$/.test(output))
              .toSorted(),
          );
          assert.equal(paths[0]!.length, 3);
          assert.deepEqual(paths[1], paths[0]);
        });

        test("two clients that want the same get the same, and its builder runs once", () => {
          for (const life of [their, our]) {
            assert.deepEqual(
              life.twice.map(({ code }) => code),
              [0, 0],
            );
            assert.equal(life.marks["both"], 1);
          }
          assert.deepEqual(
            our.twice.map(({ stdout }) => stdout),
            their.twice.map(({ stdout }) => stdout),
          );
        });

        test("derivations with several outputs have the same ones, and so has what needs some of them", () => {
          compare("several outputs", undefined);
          const results = our.outcomes.get("several outputs")!.results;
          assert.equal(results.get(drvPath(several))?.outputs.length, 3);
          assert.deepEqual(our.outcomes.get("several outputs")?.statuses, ["success"]);
        });

        test("a fixed output that is a text has the same path", () => {
          compare("a fixed text", undefined);
          assert.deepEqual(our.outcomes.get("a fixed text")?.statuses, ["success"]);
        });

        test("an output refers to the other one that it mentions, unlike zb's", async () => {
          compare("siblings", undefined, "siblings");
          const outputs = our.outcomes.get("siblings")!.results.get(drvPath(siblings))!.outputs;
          const [lib, out] = outputs.map((output) => parseStorePath(output.split("=")[1]!));
          const { info } = await ours.client.call("zb.info", { path: out! });
          assert.deepEqual(info?.references, [lib]);
        });

        test("all of it again, in one build, builds nothing", () => {
          for (const life of [their, our]) {
            assert.equal(life.again.code, 0, said(life.again.stderr));
            assert.deepEqual(new Set(life.again.statuses), new Set(["success"]));
            assert.deepEqual(life.marksAfterwards, life.marks);
          }
          assert.deepEqual(
            [...our.again.results.values()].filter(({ log }) => log !== ""),
            [],
          );
          assert.equal(our.again.stdout, their.again.stdout);
        });

        test("an input that is gone is not built for an output that is there", () => {
          assert.equal(our.planned.code, 0, said(our.planned.stderr));
          assert.equal(our.planned.stdout, their.planned.stdout);
          assert.equal(our.runsOfLeft, 1);
          if (their.runsOfLeft === 2) seen.add("planned");
        });

        test("an interrupted client cancels its build, which then says so", () => {
          compare("interrupted", undefined, "cancelled");
          const { code, statuses, results } = our.outcomes.get("interrupted")!;
          assert.notEqual(code, 0);
          assert.deepEqual(statuses, ["error"]);
          assert.deepEqual(
            [...results.values()].map(({ status }) => status),
            ["error"],
          );
        });

        test("exporting what is not there is an error at once", () => {
          assert.equal(our.exportOfAbsent.code, 1);
          assert.match(our.exportOfAbsent.stderr, /absent/);
          if (their.exportOfAbsent.signal === "SIGKILL") seen.add("missingExport");
        });

        test("all that was built has the same info and the same exported bytes", async () => {
          const printed = their.again.stdout.split("\n").filter((line) => line !== "");
          const paths = [...new Set(printed)].map(parseStorePath);
          assert.ok(paths.length >= 20, `only ${paths.length} paths were printed`);
          const built: string[] = [];
          for (const path of paths) {
            const { info } = await ours.client.call("zb.info", { path });
            assert.deepEqual(info, (await theirs.client.call("zb.info", { path })).info);
            if (info !== null) built.push(path);
          }
          // v0.2's client says the path of a fixed output without having it built.
          assert.ok(version === "v0.2" || built.length === paths.length);
          const [a, b] = await Promise.all(
            [theirs, ours].map(async (side) =>
              side.endOf(60_000, "store", "object", "export", ...built),
            ),
          );
          assert.ok(a!.stdout.length > 3_000_000);
          assert.ok(b!.stdout.equals(a!.stdout), b!.stderr);
        });

        test("each difference that docs/differences-from-zb.md lists was met", () => {
          const expected = Object.entries(differences)
            .filter(([name, { only }]) => name !== "keepsGoing" && (only ?? version) === version)
            .map(([name]) => name);
          seen.delete("keepsGoing"); // chance decides whether zb shows it
          assert.deepEqual([...seen].toSorted(), expected.toSorted());
        });
      },
    );
  }
});

describe("both of zb's clients", { skip: needsWorld || needsZb || needsZbHead }, () => {
  test("build with one kiln serve at once and get the same", async () => {
    await using side = await LifeSide.open(kilnProgram, zb!);
    const targets = ["web.lua#onPackage", "graphs.lua#diamond", "references.lua#onSelfish"];
    const ended = await Promise.all(
      [zb!, zbHead!].map(async (client) => await side.start(["build", ...targets], client).ended),
    );
    for (const { code, stderr } of ended) assert.equal(code, 0, said(stderr));
    assert.equal(ended[0]!.stdout.toString(), ended[1]!.stdout.toString());
    assert.equal(side.marks()["left"], 1);
  });
});

describe("docs/differences-from-zb.md", () => {
  test("lists the differences that the life with zb shows, in the same words", () => {
    const path = fileURLToPath(new URL("../docs/differences-from-zb.md", import.meta.url));
    const listed = readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line.startsWith("|") && !/^[|\s-]+$/.test(line))
      .slice(1)
      .map((line) => line.replaceAll(/\s+/g, " ").trim());
    assert.deepEqual(
      listed,
      Object.values(differences).map(
        ({ about, zb: their, kiln }) => `| ${about} | ${their} | ${kiln} |`,
      ),
    );
  });

  test("is about at least 30 builds of zb's client", () => assert.ok(builds.length >= 30));
});
