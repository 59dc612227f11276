// What an operator chooses about isolation: how much of it, what it shows of the host, and what a build may take.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Derivation } from "../src/format/derivation/derivation.ts";
import { derivationPath } from "../src/format/derivation/print.ts";
import { StoreClient } from "../src/rpc/client.ts";
import type { Result } from "../src/rpc/protocol.ts";
import { finishedBuild } from "./support/builds.ts";
import { hostFolders, Place, type Started } from "./support/cli.ts";
import { exportOf, shell, type ShellOptions } from "./support/derivations.ts";

const paths = [
  `--sandbox-path=${hostFolders.join(" ")}`,
  ...hostFolders.map((path) => `--implicit-system-dep=${path}`),
];

interface Built {
  readonly log: string;
  readonly result: Result<"kiln.results">["results"][number];
}

/** A daemon and a client of it. */
class Session implements AsyncDisposable {
  readonly place = new Place();
  daemon!: Started;
  #client: StoreClient | undefined;

  async serve(flags: readonly string[]): Promise<void> {
    this.daemon = await this.place.serve([...paths, ...flags]);
    this.#client = await StoreClient.connect(this.place.socket);
  }

  derivation(name: string, script: string, options: ShellOptions = {}): Derivation {
    return shell(name, script, { store: this.place.store, ...options });
  }

  async build(derivation: Derivation): Promise<Built> {
    const client = this.#client;
    assert.ok(client !== undefined);
    await client.importStream([exportOf([derivation])]);
    await client.barrier();
    const drvPath = derivationPath(derivation);
    const { buildID } = await client.call("zb.realize", { drvPath: [drvPath], keepFailed: false });
    await finishedBuild(client, buildID);
    const { results } = await client.call("kiln.results", { buildID });
    const [result] = results;
    assert.ok(result !== undefined);
    const { text, base64 } = await client.call("zb.readLog", { buildID, drvPath });
    return { result, log: text ?? Buffer.from(base64 ?? "", "base64").toString() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client?.close();
    await this.place[Symbol.asyncDispose]();
  }
}

for (const [flag, executor, executorOfNoChroot] of [
  ["--sandbox", "sandbox", "sandbox"],
  ["--sandbox=T", "sandbox", "sandbox"],
  ["--sandbox=auto", "sandbox", "sandbox"],
  ["--sandbox=relaxed", "sandbox", "process"],
  ["--sandbox=0", "process", "process"],
] as const) {
  test(`with ${flag} a builder runs as ${executor}, one with __noChroot=1 as ${executorOfNoChroot}`, async () => {
    await using session = new Session();
    await session.serve([flag]);
    const look = `[ -e ${session.place.project} ] && echo host >$out || echo isolated >$out; cat $out`;
    for (const [env, expected] of [
      [{}, executor],
      [{ __noChroot: "0" }, executor],
      [{ __noChroot: "1" }, executorOfNoChroot],
    ] as const) {
      const { result, log } = await session.build(session.derivation("look", look, { env }));
      assert.equal(result.executor, expected);
      assert.equal(log, expected === "sandbox" ? "isolated\n" : "host\n");
      assert.match(
        result.isolation ?? "",
        expected === "sandbox" ? /^user mount pid/ : /^none: __|^none: --/,
      );
    }
  });
}

test("a path that is named is offered to those that ask, under the name that was given", async () => {
  await using session = new Session();
  const real = session.place.write("data/file", "from the host\n");
  await session.serve(["--sandbox", `--sandbox-path=/data/inside=${real}`]);
  const script = "cat /data/inside >$out 2>/dev/null || echo none >$out; cat $out";
  for (const [env, said] of [
    [{ __buildSystemDeps: "/data/inside" }, "from the host\n"],
    [{}, "none\n"],
  ] as const) {
    const { log } = await session.build(session.derivation("paths", script, { env }));
    assert.equal(log, said);
  }
});

test("a limit that only a sandbox holds is missed in the log and the result of a build without one", async () => {
  await using session = new Session();
  await session.serve(["--sandbox=0", "--max-memory=100M", "--max-log-size=1M"]);
  const { result, log } = await session.build(session.derivation("free", "echo hi; : >$out"));
  assert.equal(log, "*** Not limited here: memory\nhi\n");
  assert.equal(result.isolation, "none: --sandbox=false; limits: memory by nothing here");
});

describe("a build that takes too much", () => {
  const session = new Session();
  before(async () => {
    await session.serve([
      "--sandbox",
      "--max-silent-time=1s",
      "--max-log-size=2K",
      "--max-output-size=1M",
      "--max-memory=100M",
      "--max-processes=30",
    ]);
  });
  after(async () => await session[Symbol.asyncDispose]());

  test("is measured by what the daemon and the result say that measures", async () => {
    const said = /limits: memory by [^n\n].+, processes by [^n\n].+$/m;
    assert.match(session.daemon.stderr(), said);
    const { result } = await session.build(session.derivation("modest", ": >$out"));
    assert.match(result.isolation ?? "", said);
  });

  for (const [name, script, code, words] of [
    ["time without a word", "echo hi; sleep 100", "limit.silentTime", "it wrote nothing for 1s"],
    [
      "log",
      "while :; do echo more and more; done",
      "limit.logSize",
      "it wrote more than 2048 bytes of log",
    ],
    [
      "space for its output",
      "head -c 1048577 /dev/zero >$out",
      "limit.outputSize",
      "its outputs have 1048577 bytes, more than 1048576",
    ],
  ] as const) {
    test(`(${name}) is ended, its log says why, and nothing of it is kept`, async () => {
      const derivation = session.derivation("greedy", script, { env: { name } });
      const { result, log } = await session.build(derivation);
      assert.equal(result.failure?.code, code, JSON.stringify(result.failure));
      assert.equal(result.failure.kind, "builder");
      assert.ok(log.endsWith(`*** Build failed: ${words}\n`), log);
      assert.deepEqual(
        session.place.leftovers().filter((path) => !path.startsWith("import-")),
        [],
      );
    });
  }

  for (const [name, script] of [
    ["memory", "tail /dev/zero"],
    ["processes", "for n in 1 2 3 4 5 6 7 8; do for m in 1 2 3 4 5 6 7 8; do sleep 5 & done; done"],
  ] as const) {
    test(`(${name}) fails`, async () => {
      const { result, log } = await session.build(
        session.derivation(name, `${script} || exit 1; echo x >$out`),
      );
      assert.equal(result.state, "failed", log);
      assert.match(log, /\*\*\* Build failed: /);
    });
  }
});

test("limits stand in the configuration, too, and a flag of 0 takes one away", async () => {
  await using session = new Session();
  const limits = { buildTime: "1s", logSize: 10 };
  const config = session.place.write("kiln.json", JSON.stringify({ server: { limits } }));
  await session.serve(["--sandbox", `--config=${config}`, "--max-log-size=0"]);
  const script = "echo more than ten bytes; while :; do sleep 0.1; done";
  const { result, log } = await session.build(session.derivation("long", script));
  assert.equal(result.failure?.code, "limit.wallTime");
  assert.equal(log, "more than ten bytes\n*** Build failed: it took longer than 1s\n");
});

test("what a killed predecessor left of its sandboxes is cleared away", async () => {
  await using session = new Session();
  await session.serve(["--sandbox"]);
  await session.build(session.derivation("first", "echo x >$out"));
  session.daemon.process.kill("SIGKILL");
  await session.daemon.ended;
  const slots = join(session.place.store, ".kiln/sandbox/slots/0");
  assert.ok(existsSync(slots));
  await session.serve(["--sandbox"]);
  assert.ok(!existsSync(slots));
  const { result } = await session.build(session.derivation("second", "echo x >$out"));
  assert.equal(result.state, "built");
});
