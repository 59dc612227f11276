import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { ownPlaceholder } from "../format/derivation/placeholders.ts";
import { hashBytes, sha256 } from "../format/hash.ts";
import type { StorePath } from "../format/store-path.ts";
import { ByteReader } from "../util/byte-reader.ts";
import type { ReasonCode } from "./events.ts";
import { type Finished, type Made, states, statuses, Workbench } from "./workbench.test.support.ts";

/** A bench for a group of tests. */
function withBench(options: Parameters<typeof Workbench.open>[0] = {}): () => Workbench {
  let bench: Workbench | undefined;
  before(async () => {
    bench = await Workbench.open(options);
  });
  after(async () => {
    await bench?.[Symbol.asyncDispose]();
  });
  return () => {
    assert.ok(bench !== undefined);
    return bench;
  };
}

function reasonFor(finished: Finished, { drvPath }: Made): ReasonCode | undefined {
  for (const event of finished.events) {
    if (event.type === "result.planned" && event.drvPath === drvPath) return event.reason?.code;
  }
  return undefined;
}

/** Paths by output name. */
function outputsOf(finished: Finished, { drvPath }: Made): Record<string, StorePath | null> {
  const result = finished.build.results.find((one) => one.drvPath === drvPath);
  return Object.fromEntries((result?.outputs ?? []).map(({ name, path }) => [name, path]));
}

describe("realising", () => {
  const bench = withBench();

  test("builds a derivation and the derivations it depends on, and reuses them the next time", async () => {
    const lib = await bench().shell("lib", "echo lib > $out");
    const app = await bench().shell("app", "cat $lib > $out; echo $lib >> $out", {
      inputs: { lib },
    });
    const first = await bench().realize(app);
    assert.deepEqual(states(first), { lib: "built", app: "built" });
    assert.equal(first.build.status, "success");
    const libPath = bench().pathOf(first.build, lib.drvPath);
    assert.equal(bench().read(first, app), `lib\n${libPath}\n`);
    assert.deepEqual(bench().store.info(bench().pathOf(first.build, app.drvPath))?.references, [
      libPath,
    ]);
    const second = await bench().realize(app);
    assert.deepEqual(states(second), { lib: "reused", app: "reused" });
    assert.deepEqual(outputsOf(second, app), outputsOf(first, app));
    assert.deepEqual(bench().leftovers(), []);
  });

  test("makes an object that is read-only and has no time", async () => {
    const tree = await bench().shell(
      "tree",
      "mkdir $out; echo x > $out/f; chmod 4755 $out/f; ln -s f $out/l",
    );
    const done = await bench().realize(tree);
    const path = bench().store.realPath(bench().pathOf(done.build, tree.drvPath));
    const mode = (name: string): number => lstatSync(join(path, name)).mode & 0o7777;
    assert.deepEqual([mode(""), mode("f")], [0o555, 0o555]);
    assert.equal(statSync(path).mtimeMs, 0);
    assert.equal(readlinkSync(join(path, "l")), "f");
  });

  test("finds references to inputs of inputs, and says of each who made it", async () => {
    const source = await bench().source("note", "hello\n");
    const low = await bench().shell("low", "echo $note > $out", { sources: { note: source } });
    const mid = await bench().shell("mid", "echo $low > $out", { inputs: { low } });
    const top = await bench().shell("top", "cat $mid $(cat $mid) > $out", { inputs: { mid } });
    const done = await bench().realize(top);
    const lowPath = bench().pathOf(done.build, low.drvPath);
    const topPath = bench().pathOf(done.build, top.drvPath);
    assert.deepEqual(
      bench().store.info(topPath)?.references,
      [lowPath, source].toSorted((a, b) => (a < b ? -1 : 1)),
    );
    assert.equal((await bench().realize(top)).build.status, "success");
  });

  test("rewrites what an output says of itself", async () => {
    const self = await bench().shell(
      "self",
      'mkdir $out; echo "me $out" > $out/a; ln -s $out/a $out/b; ln $out/a $out/c; chmod 555 $out',
    );
    const done = await bench().realize(self);
    const path = bench().pathOf(done.build, self.drvPath);
    assert.equal(readFileSync(join(path, "a"), "utf8"), `me ${path}\n`);
    assert.equal(readFileSync(join(path, "c"), "utf8"), `me ${path}\n`);
    assert.equal(readlinkSync(join(path, "b")), `${path}/a`);
    assert.deepEqual(bench().store.info(path)?.references, [path]);
    assert.equal(await bench().store.isIntact(path), true);
  });

  test("gives outputs that mention each other their final paths", async () => {
    const multi = await bench().shell(
      "multi",
      'mkdir $out; echo "$lib $out" > $out/f; echo lib > $lib; ln -s $out/f $dev',
      { outputs: ["dev", "lib", "out"] },
    );
    const done = await bench().realize(multi);
    const { dev, lib, out } = outputsOf(done, multi);
    assert.ok(dev && lib && out);
    assert.deepEqual(
      done.build.results[0]?.outputs.map(({ name }) => name),
      ["dev", "lib", "out"],
      "by name, in whatever order they get their paths",
    );
    assert.equal(readFileSync(join(out, "f"), "utf8"), `${lib} ${out}\n`);
    assert.equal(readlinkSync(dev), `${out}/f`);
    assert.deepEqual(bench().store.info(dev)?.references, [out]);
    assert.deepEqual(
      bench().store.info(out)?.references,
      [lib, out].toSorted((a, b) => (a < b ? -1 : 1)),
    );
    for (const path of [dev, lib, out]) assert.equal(await bench().store.isIntact(path), true);
    const again = await bench().realize(multi);
    assert.deepEqual(states(again), { multi: "reused" });
  });

  test("two outputs that share a file by a hard link each get their own", async () => {
    const linked = await bench().shell("linked", 'echo "$out" > $out; ln $out $dev', {
      outputs: ["dev", "out"],
    });
    const done = await bench().realize(linked);
    const { dev, out } = outputsOf(done, linked);
    assert.ok(dev && out);
    assert.equal(readFileSync(out, "utf8"), `${out}\n`);
    assert.equal(readFileSync(dev, "utf8"), `${out}\n`);
    assert.equal(await bench().store.isIntact(out), true);
  });

  test("does not touch what outputs link to, be it by symlink or hard link", async () => {
    const outside = join(bench().folder, "outside");
    writeFileSync(outside, "outside", { mode: 0o640 });
    const before = statSync(outside);
    const links = await bench().shell(
      "links",
      `mkdir $out; ln -s ${outside} $out/s; ln ${outside} $out/h`,
    );
    const done = await bench().realize(links);
    assert.equal(done.build.status, "success");
    const now = statSync(outside);
    assert.deepEqual([now.mode, now.mtimeMs, now.uid], [before.mode, before.mtimeMs, before.uid]);
  });

  test("realises several targets at once, also the same one twice", async () => {
    const a = await bench().shell("one-a", "echo a > $out");
    const b = await bench().shell("one-b", "echo b > $out");
    const done = await bench().realize([a, b, a]);
    assert.deepEqual(states(done), { "one-a": "built", "one-b": "built" });
    const end = done.events.at(-1);
    assert.ok(end?.type === "build.finished");
    assert.equal(end.paths.length, 3);
  });

  test("equal derivations under different inputs are built once in a build", async () => {
    const first = await bench().shell("same-in", "echo same > $out", { env: { A: "1" } });
    const second = await bench().shell("same-in", "echo same > $out", { env: { A: "2" } });
    const use = (input: Made): Promise<Made> =>
      bench().shell("same-user", "head -c 8 /dev/urandom | od > $out; cat $in", {
        inputs: { in: input },
      });
    const [a, b] = [await use(first), await use(second)];
    const done = await bench().realize([a, b]);
    assert.equal(done.build.status, "success");
    assert.equal(bench().pathOf(done.build, a.drvPath), bench().pathOf(done.build, b.drvPath));
  });

  test("is cut off early when an input comes out as before", async () => {
    const one = await bench().shell("early", "echo same > $out");
    const other = await bench().shell("early", "echo same > $out # but written differently");
    const user = (input: Made): Promise<Made> =>
      bench().shell("early-user", "cat $in > $out", { inputs: { in: input } });
    await bench().realize(await user(one));
    const done = await bench().realize(await user(other));
    assert.deepEqual(states(done), { early: "built", "early-user": "reused" });
  });

  test("takes an input anew when its object is gone, but only if something needs it", async () => {
    const low = await bench().shell("gone-low", "echo low > $out");
    const user = await bench().shell("gone-user", "cat $low > $out", { inputs: { low } });
    const first = await bench().realize(user);
    await bench().store.remove([bench().pathOf(first.build, low.drvPath)]);
    const second = await bench().realize(user);
    assert.deepEqual(states(second), { "gone-user": "reused" });
    const other = await bench().shell("gone-other", "cat $low $user > $out", {
      inputs: { low, user },
    });
    const third = await bench().realize(other);
    assert.deepEqual(states(third), {
      "gone-low": "built",
      "gone-user": "reused",
      "gone-other": "built",
    });
    assert.equal(reasonFor(third, low), "outputMissing");
  });

  test("is reused again when its object comes back", async () => {
    const made = await bench().shell("returning", "head -c 8 /dev/urandom | od > $out");
    const first = await bench().realize(made);
    const path = bench().pathOf(first.build, made.drvPath);
    const chunks: Buffer[] = [];
    for await (const chunk of (await bench().store.export([path])).chunks()) chunks.push(chunk);
    await bench().store.remove([path]);
    await using importer = bench().store.importer();
    await importer.read(new ByteReader(Readable.from(chunks)));
    const second = await bench().realize(made);
    assert.deepEqual(states(second), { returning: "reused" });
    assert.equal(bench().pathOf(second.build, made.drvPath), path);
  });

  test("builds what is altered on disk again, and so repairs it", async () => {
    const victim = await bench().shell("victim", "mkdir $out; echo right > $out/f");
    const first = await bench().realize(victim);
    const file = join(bench().pathOf(first.build, victim.drvPath), "f");
    // The file system's clock is coarse: what is altered within its tick cannot be told from what was not.
    for (const until = Date.now() + 30; Date.now() < until;) await new Promise(setImmediate);
    chmodSync(dirname(file), 0o755);
    rmSync(file);
    writeFileSync(file, "wrong");
    const second = await bench().realize(victim);
    assert.deepEqual(states(second), { victim: "built" });
    assert.equal(readFileSync(file, "utf8"), "right\n");
  });

  test("a clean build uses nothing from before, but what it built itself", async () => {
    const low = await bench().shell("clean-low", "echo low > $out");
    const user = await bench().shell("clean-user", "cat $low > $out", { inputs: { low } });
    await bench().realize(user);
    const clean = await bench().realize(user, { reuse: "none" });
    assert.deepEqual(states(clean), { "clean-low": "built", "clean-user": "built" });
    assert.equal(reasonFor(clean, user), "cleanAsked");
    const signed = await bench().realize(user, {
      reuse: { publicKeys: [{ format: "ed25519", publicKey: "AAAA" }] },
    });
    assert.deepEqual(states(signed), { "clean-low": "built", "clean-user": "built" });
    assert.equal(reasonFor(signed, low), "untrusted");
  });

  test("of two different results neither is used, and a third is made", async () => {
    const random = await bench().shell("random", "head -c 8 /dev/urandom | od > $out");
    await bench().realize(random);
    await bench().realize(random, { reuse: "none" });
    const third = await bench().realize(random);
    assert.deepEqual(states(third), { random: "built" });
    assert.equal(reasonFor(third, random), "incompatibleClosure");
  });

  test("builds everything that depends on a result that came out differently", async () => {
    const random = await bench().shell("moody", "head -c 8 /dev/urandom | od > $out");
    const middle = await bench().shell("moody-middle", "echo middle > $out; cat $in", {
      inputs: { in: random },
    });
    const top = await bench().shell("moody-top", "cat $a $b > $out", {
      inputs: { a: random, b: middle },
    });
    const first = await bench().realize(middle);
    await bench().store.remove([bench().pathOf(first.build, random.drvPath)]);
    const second = await bench().realize(top);
    assert.deepEqual(states(second), {
      moody: "built",
      "moody-middle": "built",
      "moody-top": "built",
    });
    assert.equal(
      second.events.filter(
        (event) => event.type === "result.planned" && event.drvPath === middle.drvPath,
      ).length,
      2,
      "first it was to be reused, then to be built",
    );
  });
});

describe("fixed outputs", () => {
  const bench = withBench();

  test("are verified, and then reused whatever the recipe", async () => {
    const fixed = { method: "flat", hash: sha256("abc") } as const;
    const right = await bench().shell("abc", "printf abc > $out", { fixed });
    const other = await bench().shell("abc", "exit 1", { fixed, system: "aarch64-linux" });
    assert.deepEqual(states(await bench().realize(right)), { abc: "built" });
    assert.deepEqual(states(await bench().realize(other)), { abc: "reused" });
    assert.deepEqual(states(await bench().realize(right, { reuse: "none" })), { abc: "reused" });
  });

  const wrong: [name: string, script: string, method: "flat" | "recursive", code: string][] = [
    ["content", "printf abd > $out", "flat", "ca.mismatch"],
    ["type", "mkdir $out", "flat", "ca.fileType"],
    ["permission", "printf abc > $out; chmod +x $out", "flat", "ca.fileType"],
    ["tree", "mkdir $out; printf abc > $out/x", "recursive", "ca.mismatch"],
  ];
  for (const [name, script, method, code] of wrong) {
    test(`of the wrong ${name} fail the build and leave nothing`, async () => {
      const hash = hashBytes("sha512", "abc");
      const made = await bench().shell(`wrong-${name}`, script, { fixed: { method, hash } });
      const done = await bench().realize(made);
      assert.deepEqual(statuses(done), { [`wrong-${name}`]: "fail" });
      const end = done.events.find((event) => event.type === "result.finished");
      assert.equal(end?.failure?.code, code);
      assert.match(await bench().log(done.id, made), /^\*\*\* Build failed: .+\n$/);
      assert.deepEqual(bench().leftovers(), []);
    });
  }

  test("wait for another derivation that makes the same, and reuse it", async () => {
    const fixed = { method: "flat", hash: sha256("slow") } as const;
    const slow = (word: string): Promise<Made> =>
      bench().shell("slow", `sleep 0.3; printf slow > $out; : ${word}`, { fixed });
    const done = await bench().realize([await slow("a"), await slow("b")]);
    assert.equal(done.build.status, "success");
    const ends = done.events.flatMap((event) =>
      event.type === "result.finished" ? [event.state] : [],
    );
    assert.deepEqual(
      ends.toSorted((a, b) => (a < b ? -1 : 1)),
      ["built", "reused"],
    );
  });

  test("that somebody left in the store unannounced are made anew", async () => {
    const fixed = { method: "flat", hash: sha256("honest") } as const;
    const honest = await bench().shell("honest", "printf honest >> $out", { fixed });
    const first = await bench().realize(honest);
    const path = bench().pathOf(first.build, honest.drvPath);
    await bench().store.remove([path]);
    writeFileSync(bench().store.realPath(path), "planted ");
    const second = await bench().realize(honest);
    assert.deepEqual(states(second), { honest: "built" });
    assert.equal(readFileSync(path, "utf8"), "honest");
  });
});

describe("failures", () => {
  const bench = withBench();

  const table: [name: string, script: string, code: string, log: string][] = [
    [
      "exit",
      "echo out; echo err >&2; exit 3",
      "builder.exit",
      "out\nerr\n*** Build failed: exit status 3\n",
    ],
    ["signal", "kill -9 $$", "builder.signal", "*** Build failed: signal: killed\n"],
    ["abort", "kill -ABRT $$", "builder.signal", "*** Build failed: signal: aborted\n"],
    [
      "nothing",
      "echo hm",
      "output.missing",
      "hm\n*** Build failed: builder failed to produce output $out\n",
    ],
    ["unfinished", "printf hm; exit 1", "builder.exit", "hm*** Build failed: exit status 1\n"],
  ];
  for (const [name, script, code, log] of table) {
    test(`by ${name} end the log as zb does`, async () => {
      const made = await bench().shell(name, script);
      const done = await bench().realize(made);
      assert.equal(done.build.status, "fail");
      assert.deepEqual(outputsOf(done, made), { out: null });
      assert.equal(await bench().log(done.id, made), log);
      const end = done.events.find((event) => event.type === "result.finished");
      assert.equal(end?.failure?.code, code);
      const [written = ""] = log.split("*** Build failed");
      const last = written === "" ? undefined : written.trimEnd().split("\n").at(-1);
      assert.equal(end?.failure?.lastLines.at(-1), last);
      assert.deepEqual(bench().leftovers(), []);
    });
  }

  test("by an unknown builder end the log as zb does", async () => {
    const made = await bench().shell("nobuilder", "", { builder: "/no/such/builder" });
    const done = await bench().realize(made);
    assert.equal(done.build.status, "fail");
    assert.equal(
      await bench().log(done.id, made),
      "*** Build failed: fork/exec /no/such/builder: no such file or directory\n",
    );
  });

  const refused: [name: string, script: string, code: string][] = [
    ["fifo", "mkdir $out; mkfifo $out/p", "output.fileType"],
    ["own name", 'mkdir $out; touch "$out/$(basename $out)"', "reference.inName"],
    ["UTF-16", "printf $out | sed 's/./&\\x00/g' > $out", "output.utf16"],
    ["name", "mkdir $out; touch $out/$(printf '\\377')", "nar.name"],
  ];
  for (const [name, script, code] of refused) {
    test(`by an output with a bad ${name} are the builder's, and nothing is left`, async () => {
      const made = await bench().shell("refused", script);
      const done = await bench().realize(made);
      assert.deepEqual(statuses(done), { refused: "fail" });
      const end = done.events.find((event) => event.type === "result.finished");
      assert.equal(end?.failure?.code, code, end?.failure?.message);
      // Where outputs lie while they are looked at is nobody's business.
      assert.doesNotMatch(end?.failure?.message ?? "", /\.kiln|output-\d/);
      assert.deepEqual(bench().leftovers(), []);
    });
  }

  test("by outputs that mention each other in a circle name the circle", async () => {
    const made = await bench().shell("circle", "echo $b > $a; echo $a > $b", {
      outputs: ["a", "b"],
    });
    const done = await bench().realize(made);
    assert.deepEqual(statuses(done), { circle: "fail" });
    assert.match(await bench().log(done.id, made), /outputs refer to each other: a -> b -> a/);
  });

  const errors: [name: string, options: Parameters<Workbench["shell"]>[2], text: RegExp][] = [
    [
      "another system",
      { system: "aarch64-apple-macos" },
      /a aarch64-apple-macos system is required, but host is a /,
    ],
    [
      "a system dependency",
      { env: { __buildSystemDeps: " /bin/sh\t/x " } },
      /system dependency \/bin\/sh is not available here/,
    ],
    [
      "a placeholder among the system dependencies",
      { env: { __buildSystemDeps: ownPlaceholder("out") } },
      /__buildSystemDeps contains placeholders/,
    ],
  ];
  for (const [name, options, text] of errors) {
    test(`by ${name} are not the builder's`, async () => {
      const made = await bench().shell("error", "echo > $out", options);
      const done = await bench().realize(made);
      assert.deepEqual(statuses(done), { error: "error" });
      const log = await bench().log(done.id, made);
      assert.match(log, /^zb internal error: build .*\n$/);
      assert.match(log, text);
      const types = done.events.map(({ type }) => type);
      const begun = types.indexOf("result.started");
      assert.ok(begun >= 0 && begun < types.indexOf("result.finished"), types.join(" "));
      const [row] = bench().service.records.results(done.id);
      assert.equal(row?.executor, "process");
    });
  }

  test("by a source that is gone are not the builder's", async () => {
    const source = await bench().source("source", "x");
    const made = await bench().shell("user", "cat $src > $out", { sources: { src: source } });
    rmSync(bench().store.realPath(source));
    const done = await bench().realize(made);
    assert.deepEqual(statuses(done), { user: "error" });
  });

  test("skip what depends on them, and nothing else", async () => {
    const bad = await bench().shell("bad", "exit 1");
    const good = await bench().shell("good", "echo good > $out");
    const between = await bench().shell("between", "cat $bad > $out", { inputs: { bad } });
    const top = await bench().shell("top", "cat $between $good > $out", {
      inputs: { between, good },
    });
    const done = await bench().realize(top);
    assert.deepEqual(states(done), {
      bad: "failed",
      good: "built",
      between: "skipped",
      top: "skipped",
    });
    assert.deepEqual(statuses(done), { bad: "fail", good: "success" });
    assert.equal(done.build.status, "fail");
  });

  test("end the build when it is not to go on", async () => {
    const bad = await bench().shell("first-bad", "exit 1");
    const later = await bench().shell("later", "cat $slow > $out", {
      inputs: { slow: await bench().shell("slow-good", "sleep 0.3; echo > $out") },
    });
    const done = await bench().realize([bad, later], { keepGoing: false });
    assert.deepEqual(states(done), {
      "first-bad": "failed",
      "slow-good": "built",
      later: "skipped",
    });
  });

  test("keep the build directory if that was asked for, without programs of other users", async () => {
    const made = await bench().shell("kept", "echo x > note; chmod 4755 note; exit 1");
    const done = await bench().realize(made, { keepFailed: true });
    const log = await bench().log(done.id, made);
    const [, directory = ""] = /^Build directory available at (.*)$/m.exec(log) ?? [];
    assert.match(directory, /\/builds\/zb-build-kept-[0-9a-f]+$/);
    assert.match(log, /^\*\*\* Build failed: exit status 1\nBuild directory available at .*\n$/);
    const said = done.events.find((event) => event.type === "message");
    assert.equal(
      said?.hint,
      `kiln derivation env --json --temp-dir ${directory} ${made.drvPath} says what to run in it`,
    );
    assert.equal(statSync(directory).mode & 0o7777, 0o700, "nobody else may enter it");
    assert.equal(statSync(directory).uid, process.geteuid?.());
    assert.equal(statSync(join(directory, "note")).mode & 0o7777, 0o755);
    rmSync(directory, { recursive: true });
  });

  test("are tried again by the next build", async () => {
    const flag = join(bench().folder, "flag");
    const made = await bench().shell("retry", `[ -e ${flag} ] && echo > $out`);
    assert.deepEqual(states(await bench().realize(made)), { retry: "failed" });
    writeFileSync(flag, "");
    assert.deepEqual(states(await bench().realize(made)), { retry: "built" });
  });
});

test("one user has at most 1,000 builds under way, and others have theirs", async () => {
  await using bench = await Workbench.open();
  const { drvPath } = await bench.shell("slow", "sleep 100");
  const start = async (user: string): Promise<string> =>
    await bench.service.realize({ drvPaths: [drvPath], user });
  const ids: string[] = [];
  for (let i = 0; i < 1000; i++) ids.push(await start("uid 1"));
  await assert.rejects(start("uid 1"), { code: "build.tooMany" });
  await start("uid 2");
  bench.service.cancel(ids[500]!);
  await bench.service.ended(ids[500]!);
  await start("uid 1");
});

test("what a failure leaves out is on record after the build's end, also of thousands", async () => {
  await using bench = await Workbench.open();
  const bad = await bench.shell("bad", "exit 1");
  const inputs: Record<string, Made> = {};
  for (let i = 0; i < 2000; i++)
    inputs[`n${i}`] = await bench.shell(`n${i}`, "", { inputs: { bad } });
  const root = await bench.shell("root", "", { inputs });
  const { store } = bench;
  let transactions = 0;
  const lightly = store.database.lightly.bind(store.database);
  store.database.lightly = (write) => {
    transactions++;
    return lightly(write);
  };
  const { id } = await bench.realize(root);
  assert.ok(transactions < 20, `${transactions} transactions`);
  await bench.restart();
  const found = bench.service.results(id).map(({ state }) => state);
  assert.deepEqual(
    [found.length, found.filter((state) => state === "skipped").length],
    [2002, 2001],
  );
});

test("build directories are not kept where that is not allowed", async () => {
  await using bench = await Workbench.open({ allowKeepFailed: false });
  const made = await bench.shell("kept", "exit 1");
  const done = await bench.realize(made, { keepFailed: true });
  assert.equal(await bench.log(done.id, made), "*** Build failed: exit status 1\n");
  assert.deepEqual(bench.leftovers(), []);
});

describe("what cannot be realised is refused at once", () => {
  const bench = withBench();

  test("nothing, a path elsewhere, and what is no derivation", async () => {
    const source = await bench().source("x", "x");
    const absent = `${bench().directory}/${"0".repeat(32)}-x.drv` as StorePath;
    const elsewhere = `/elsewhere/${"0".repeat(32)}-x.drv` as StorePath;
    const refused = async (drvPaths: StorePath[], code: string): Promise<void> =>
      assert.rejects(bench().service.realize({ drvPaths }), { code });
    await refused([], "build.request");
    await refused([elsewhere], "build.request");
    await refused([source], "build.request");
    await refused([absent], "store.missing");
    assert.deepEqual(bench().service.recentIDs(9), []);
  });

  test("an input output that does not exist", async () => {
    const low = await bench().shell("low", "echo > $out");
    const user = await bench().shell("user", "", { inputs: { a: [low, "dev"] } });
    await assert.rejects(bench().realize(user), { code: "drv.noSuchOutput" });
  });

  test("a derivation that is not what was registered", async () => {
    const made = await bench().shell("altered", "echo > $out");
    const file = bench().store.realPath(made.drvPath);
    const text = readFileSync(file, "utf8");
    rmSync(file);
    writeFileSync(file, text.replace("echo", "exho"));
    await assert.rejects(bench().realize(made), { code: "store.damaged" });
  });
});

describe("many derivations", () => {
  test("are built side by side, up to the number of jobs", { timeout: 60_000 }, async () => {
    await using bench = await Workbench.open({ jobs: 3 });
    const marks = join(bench.folder, "marks");
    const begun = join(bench.folder, "begun");
    // The first three wait for each other, and none of them leaves before one has seen them all.
    const script = `mkdir -p ${marks} ${begun}; touch ${marks}/$ZB_BUILD_CORES$$ ${begun}/$$
      until [ $(ls ${begun} | wc -l) -ge 3 ]; do sleep 0.01; done
      ls ${marks} | wc -l; sleep 0.2; rm ${marks}/*$$; echo > $out`;
    const all: Made[] = [];
    for (let i = 0; i < 7; i++) all.push(await bench.shell(`side-${i}`, script));
    const done = await bench.realize(all);
    const counts = await Promise.all(
      all.map(async (made) => Number(await bench.log(done.id, made))),
    );
    assert.equal(done.build.status, "success");
    assert.equal(Math.max(...counts), 3, `at the same time: ${counts.join(" ")}`);
  });

  test("take turns with those of other builds, however many there are", async () => {
    await using bench = await Workbench.open({ jobs: 1 });
    const [order, gate] = [join(bench.folder, "order"), join(bench.folder, "gate")];
    const made = async (name: string): Promise<Made> =>
      await bench.shell(
        name,
        `echo ${name} >> ${order}; until [ -e ${gate} ]; do sleep 0.01; done; echo > $out`,
      );
    const large = await Promise.all(Array.from({ length: 8 }, (_, i) => made(`large-${i}`)));
    const small = await made("small");
    const first = await bench.service.realize({ drvPaths: large.map(({ drvPath }) => drvPath) });
    for (let begun = false; !begun; begun = existsSync(order)) await setTimeout(10);
    using _watching = bench.service.subscribe(({ type, buildID }) => {
      if (type === "build.planned" && buildID !== first) writeFileSync(gate, "");
    });
    await bench.realize(small);
    await bench.service.ended(first);
    const place = readFileSync(order, "utf8").split("\n").indexOf("small");
    assert.ok(place <= 3, `it was number ${place + 1} of 9`);
  });

  test(
    "free their place for the next one before their outputs are on disk",
    { timeout: 60_000 },
    async () => {
      await using bench = await Workbench.open({ jobs: 1 });
      const { store } = bench;
      const publish = store.publishAll.bind(store);
      const both = Promise.withResolvers<void>();
      let arrived = 0;
      store.publishAll = async (...given) => {
        if (++arrived === 2) both.resolve();
        await both.promise;
        return await publish(...given);
      };
      const made = [
        await bench.shell("first", "echo 1 > $out"),
        await bench.shell("second", "echo 2 > $out"),
      ];
      const { build } = await bench.realize(made);
      assert.equal(build.status, "success");
    },
  );

  test("never run more at once than there are jobs, however short they are", async () => {
    await using bench = await Workbench.open({ jobs: 2 });
    const marks = join(bench.folder, "marks");
    mkdirSync(marks);
    const all = await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        bench.shell(
          `short-${i}`,
          `: > ${marks}/$$; set -- ${marks}/*; echo $# > $out; rm ${marks}/$$`,
        ),
      ),
    );
    const done = await bench.realize(all);
    assert.equal(done.build.status, "success");
    const counts = done.build.results.flatMap(({ outputs }) =>
      outputs.map(({ path }) => Number(readFileSync(bench.store.realPath(path!), "utf8"))),
    );
    assert.equal(counts.length, 60);
    assert.ok(Math.max(...counts) <= 2, `at the same time: ${counts.join(" ")}`);
    assert.deepEqual(bench.leftovers(), []);
  });

  test("that were only made ready are skipped when the build is cancelled", async () => {
    await using bench = await Workbench.open({ jobs: 1 });
    const begun = join(bench.folder, "begun");
    const short = await bench.shell("short", "echo > $out");
    const long = `echo x >> ${begun}; sleep 1000`;
    const all = [
      short,
      ...(await Promise.all(Array.from({ length: 6 }, (_, i) => bench.shell(`long-${i}`, long)))),
    ];
    const id = await bench.service.realize({ drvPaths: all.map(({ drvPath }) => drvPath) });
    while (!existsSync(begun) || bench.leftovers().length < 2) await setTimeout(5);
    await setTimeout(50);
    bench.service.cancel(id);
    await bench.service.ended(id);
    const rows = bench.service.records.results(id);
    const states = rows.map(({ state }) => state).toSorted();
    assert.deepEqual(states, ["built", "cancelled", ...Array(5).fill("skipped")]);
    assert.deepEqual(bench.leftovers(), []);
    assert.equal(readFileSync(begun, "utf8"), "x\n");
    // The places were given back.
    const after = await bench.realize(await bench.shell("after", "echo > $out"));
    assert.equal(after.build.status, "success");
    assert.equal(bench.service.jobsUsed, 0);
  });

  test("that wait for a place are not begun after a failure, where that was asked for", async () => {
    for (const jobs of [1, 2]) {
      await using bench = await Workbench.open({ jobs });
      const others = Array.from({ length: 10 }, (_, i) =>
        bench.shell(`good-${i}`, "sleep 0.05; echo > $out"),
      );
      const all = [await bench.shell("bad", "exit 1"), ...(await Promise.all(others))];
      const done = await bench.realize(all, { keepGoing: false });
      const { bad, ...rest } = states(done);
      assert.equal(bad, "failed");
      const skipped = Object.values(rest).filter((state) => state === "skipped");
      assert.ok(skipped.length > 0, JSON.stringify(rest));
      const types = done.events.map((event) => event.type);
      const failed = done.events.findIndex(
        (event) => event.type === "result.finished" && event.state === "failed",
      );
      assert.ok(types.lastIndexOf("result.started") < failed, types.join(" "));
      assert.equal(done.build.status, "fail");
    }
  });

  test("64 of them that sleep 0.2 s end soon with 16 jobs", async () => {
    await using bench = await Workbench.open({ jobs: 16 });
    const all: Made[] = [];
    for (let i = 0; i < 64; i++)
      all.push(await bench.shell(`sleep-${i}`, `sleep 0.2; echo ${i} > $out`));
    const start = performance.now();
    const done = await bench.realize(all);
    const took = performance.now() - start;
    assert.equal(done.build.status, "success");
    // 0.8 s is the least; a busy machine needs longer, one after the other would take 12.8 s on any.
    assert.ok(took < 12_800, `it took ${took} ms`);
    assert.deepEqual(bench.leftovers(), []);
  });

  test("the same derivation in two builds is built once", async () => {
    await using bench = await Workbench.open();
    const made = await bench.shell("shared", "sleep 0.2; head -c 8 /dev/urandom | od > $out");
    const [a, b] = await Promise.all([bench.realize(made), bench.realize(made)]);
    assert.deepEqual(
      [states(a)["shared"], states(b)["shared"]].toSorted((x, y) =>
        String(x) < String(y) ? -1 : 1,
      ),
      ["built", "reused"],
    );
    assert.deepEqual(outputsOf(a, made), outputsOf(b, made));
  });
});

describe("logs", () => {
  const bench = withBench();

  /** A derivation that goes on when the file is there. */
  async function gated(name: string, script: string): Promise<{ made: Made; open: () => void }> {
    const gate = join(bench().folder, `gate-${name}`);
    const wait = `until [ -e ${gate} ]; do sleep 0.01; done`;
    const made = await bench().shell(name, script.replace("WAIT", wait));
    return { made, open: () => writeFileSync(gate, "") };
  }

  test("are followed while they are written", async () => {
    const { made, open } = await gated("follow", "echo one; WAIT; echo two; echo > $out");
    const id = await bench().service.realize({ drvPaths: [made.drvPath] });
    while (bench().service.result(id, made.drvPath).status === "unknown")
      await new Promise(setImmediate);
    const first = await bench().service.readLog(id, made.drvPath, 0, undefined);
    assert.deepEqual([first.bytes.toString(), first.eof], ["one\n", false]);
    const waiting = bench().service.readLog(id, made.drvPath, 4, undefined);
    open();
    assert.equal((await waiting).bytes.toString(), "two\n");
    await bench().service.ended(id);
    assert.deepEqual(await bench().service.readLog(id, made.drvPath, 8, undefined), {
      bytes: Buffer.alloc(0),
      eof: true,
    });
  });

  test("are waited for only as long as somebody wants to", async () => {
    const { made, open } = await gated("patience", "WAIT; echo > $out");
    const id = await bench().service.realize({ drvPaths: [made.drvPath] });
    while (bench().service.result(id, made.drvPath).status === "unknown")
      await new Promise(setImmediate);
    const controller = new AbortController();
    const waiting = bench().service.readLog(id, made.drvPath, 0, undefined, controller.signal);
    controller.abort(new Error("enough"));
    await assert.rejects(waiting, { message: "enough" });
    const ending = bench().service.readLog(id, made.drvPath, 0, undefined);
    open();
    assert.deepEqual(await ending, { bytes: Buffer.alloc(0), eof: true });
    await bench().service.ended(id);
  });

  test("end exactly where they end", async () => {
    const made = await bench().shell("range", "printf 0123456789; echo > $out");
    const { id } = await bench().realize(made);
    const read = async (start: number, end?: number): Promise<[string, boolean]> => {
      const { bytes, eof } = await bench().service.readLog(id, made.drvPath, start, end);
      return [bytes.toString(), eof];
    };
    assert.deepEqual(await read(0), ["0123456789", true]);
    assert.deepEqual(await read(0, 10), ["0123456789", false]);
    assert.deepEqual(await read(0, 11), ["0123456789", true]);
    assert.deepEqual(await read(3, 5), ["34", false]);
    assert.deepEqual(await read(10), ["", true]);
    assert.deepEqual(await read(10, 12), ["", true]);
    await assert.rejects(read(11), { code: "log.range" });
    await assert.rejects(read(-1), { code: "log.range" });
    await assert.rejects(read(4, 4), { code: "log.range" });
  });

  test("of what was reused, or said nothing, are empty", async () => {
    const made = await bench().shell("silent", "echo > $out");
    const first = await bench().realize(made);
    const second = await bench().realize(made);
    for (const { id } of [first, second]) {
      assert.deepEqual(await bench().service.readLog(id, made.drvPath, 0, undefined), {
        bytes: Buffer.alloc(0),
        eof: true,
      });
    }
  });

  test("of what is not known are refused", async () => {
    const made = await bench().shell("unknown", "echo > $out");
    const { id } = await bench().realize(made);
    const other = await bench().shell("other", "echo > $out");
    const read = (build: string, { drvPath }: Made): Promise<unknown> =>
      bench().service.readLog(build, drvPath, 0, undefined);
    await assert.rejects(read("nobuild", made), { code: "log.unknown" });
    await assert.rejects(read(id, other), { code: "log.unknown" });
  });
});

describe("cancelling", () => {
  const bench = withBench();

  const stubborn = `trap "" TERM
    setsid sh -c 'trap "" TERM; echo $$; while :; do sleep 0.05 </dev/null >/dev/null 2>&1; done' &
    echo $$; echo ready
    while :; do sleep 0.05 </dev/null >/dev/null 2>&1; done`;

  async function started(made: Made): Promise<string> {
    const id = await bench().service.realize({ drvPaths: [made.drvPath] });
    for (let log = ""; !log.includes("ready");) {
      if (bench().service.result(id, made.drvPath).status === "unknown") {
        await new Promise(setImmediate);
        continue;
      }
      const { bytes } = await bench().service.readLog(id, made.drvPath, log.length, undefined);
      log += bytes.toString();
    }
    return id;
  }

  test("ends everything that runs and says so", async () => {
    const made = await bench().shell("stubborn", stubborn);
    const user = await bench().shell("user", "cat $in > $out", { inputs: { in: made } });
    const id = await bench().service.realize({ drvPaths: [user.drvPath], user: "dev" });
    while (!(await logSoFar(id, made)).includes("ready")) await new Promise(setImmediate);
    bench().service.cancel(id, "ops");
    const done = await bench().finished(id);
    assert.deepEqual(states(done), { stubborn: "cancelled", user: "skipped" });
    assert.deepEqual(statuses(done), { stubborn: "error" });
    assert.equal(done.build.status, "error");
    const log = await bench().log(id, made);
    assert.match(log, /\n\*\*\* Build failed: cancelled by ops\n$/);
    for (const [pid] of log.matchAll(/^\d+$/gm)) assert.ok(!isAlive(Number(pid)), `${pid} lives`);
    assert.equal(bench().service.summaries(1)[0]?.state, "cancelled");
    assert.deepEqual(bench().leftovers(), []);
  });

  async function logSoFar(id: string, { drvPath }: Made): Promise<string> {
    if (bench().service.result(id, drvPath).status === "unknown") return "";
    return (await bench().service.readLog(id, drvPath, 0, undefined)).bytes.toString();
  }

  test("lets the next build of the same derivation begin", async () => {
    const flag = join(bench().folder, "go");
    const made = await bench().shell(
      "again",
      `echo ready; [ -e ${flag} ] || sleep 100; echo > $out`,
    );
    const first = await started(made);
    const second = bench().realize(made);
    writeFileSync(flag, "");
    bench().service.cancel(first);
    assert.deepEqual(states(await second), { again: "built" });
  });

  test("in the moment in which its builder could begin skips it, or ends what was told to have begun", async () => {
    await using own = await Workbench.open();
    const outcomes = new Set<string>();
    // The second one waits for the lock of the first; so many turns after the end of the first it is cancelled.
    for (let turns = 0; turns < 60; turns++) {
      const made = await own.shell(`moment-${turns}`, "echo > $out");
      const heard: string[] = [];
      const [first, second] = await Promise.all(
        [1, 2].map(() => own.service.realize({ drvPaths: [made.drvPath], reuse: "none" })),
      );
      const cancel = async (): Promise<void> => {
        for (let turn = 0; turn < turns; turn++) await Promise.resolve();
        heard.push("cancelled");
        own.service.cancel(second!);
      };
      using _subscribed = own.service.subscribe(({ buildID, type }) => {
        if (buildID === first && type === "result.finished") void cancel();
        if (buildID === second) heard.push(type);
      });
      const done = await own.finished(second!);
      const cancelledAt = heard.indexOf("cancelled"); // not at all when it came first
      const isBegunLater = cancelledAt >= 0 && heard.lastIndexOf("result.started") > cancelledAt;
      assert.ok(!isBegunLater, `${turns}: ${heard.join(" ")}`);
      outcomes.add(states(done)[`moment-${turns}`]!);
      await own.finished(first!);
    }
    assert.ok(outcomes.has("skipped"), [...outcomes].join(" "));
  });

  test("before anything has begun leaves nothing to show but that", async () => {
    const controller = new AbortController();
    controller.abort();
    await using own = await Workbench.open({ buildContext: () => ({ signal: controller.signal }) });
    const made = await own.shell("early", "echo > $out");
    const done = await own.realize(made);
    assert.equal(done.build.status, "error");
    assert.deepEqual(done.build.results, []);
    assert.equal(own.service.summaries(1)[0]?.state, "cancelled");
  });

  test("of what is over, or unknown, does nothing", async () => {
    const made = await bench().shell("over", "echo > $out");
    const { id } = await bench().realize(made);
    bench().service.cancel(id);
    bench().service.cancel("unknown");
    assert.equal(bench().service.build(id).status, "success");
  });

  test("comes also from whoever embeds the service", async () => {
    const controller = new AbortController();
    await using own = await Workbench.open({ buildContext: () => ({ signal: controller.signal }) });
    const made = await own.shell("scoped", "sleep 100");
    const id = await own.service.realize({ drvPaths: [made.drvPath] });
    controller.abort();
    const done = await own.finished(id);
    assert.equal(done.build.status, "error");
  });

  test("comes with the end of the service, which takes no more builds", async () => {
    await using own = await Workbench.open();
    const made = await own.shell("running", "echo ready; sleep 100");
    const id = await own.service.realize({ drvPaths: [made.drvPath] });
    while (own.service.result(id, made.drvPath).logSize === 0) await new Promise(setImmediate);
    await own.service.close();
    assert.equal(own.service.summaries(1)[0]?.state, "interrupted");
    await assert.rejects(own.service.realize({ drvPaths: [made.drvPath] }), {
      code: "server.closing",
    });
  });
});

function isAlive(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  return existsSync(stat) && !/\) Z /.test(readFileSync(stat, "latin1"));
}

describe("expanding", () => {
  const bench = withBench();

  test("shows the builder with the paths of its inputs, and builds only those", async () => {
    const low = await bench().shell("low", "echo low > $out");
    const made = await bench().shell("shown", "cat $low > $out", {
      inputs: { low },
      env: { HOME: "/h" },
    });
    const id = await bench().service.expand({ drvPath: made.drvPath, tempDir: "/tmp/x" });
    const { build } = await bench().finished(id);
    assert.deepEqual(
      build.results.map(({ drvPath }) => drvPath),
      [low.drvPath],
    );
    assert.deepEqual(build.expand?.args, ["-c", "cat $low > $out"]);
    const env = build.expand?.env ?? {};
    assert.equal(env["low"], bench().pathOf(build, low.drvPath));
    assert.equal(env["TMPDIR"], "/tmp/x");
    assert.equal(env["HOME"], "/h");
    assert.match(env["out"] ?? "", /-shown$/);
    await bench().restart();
    assert.deepEqual(bench().service.build(id).expand, build.expand);
  });

  test("shows nothing when an input fails", async () => {
    const bad = await bench().shell("bad", "exit 1");
    const made = await bench().shell("user", "", { inputs: { bad } });
    const id = await bench().service.expand({ drvPath: made.drvPath, tempDir: "/tmp" });
    const { build } = await bench().finished(id);
    assert.equal(build.status, "fail");
    assert.equal("expand" in build, false);
  });
});

describe("records", () => {
  const bench = withBench();

  test("outlive the service", async () => {
    const bad = await bench().shell("bad", "echo oops; exit 2");
    const good = await bench().shell("good", "echo > $out");
    const done = await bench().realize([bad, good], { user: "dev" });
    const [before, results] = [bench().service.build(done.id), bench().service.results(done.id)];
    await bench().restart();
    assert.deepEqual(bench().service.build(done.id), before);
    assert.deepEqual(bench().service.results(done.id), results);
    assert.equal(await bench().log(done.id, bad), "oops\n*** Build failed: exit status 2\n");
    const events = await Array.fromAsync(bench().service.watch(done.id, 0));
    assert.deepEqual(
      events.map(({ type }) => type),
      ["result.finished", "result.finished", "build.finished"],
    );
    assert.deepEqual(await Array.fromAsync(bench().service.watch(done.id, 2)), events.slice(2));
    const [summary] = bench().service.summaries(1);
    assert.deepEqual(summary?.counts, { built: 1, failed: 1 });
    assert.equal(summary?.user, "dev");
  });

  test("of unknown builds say so", async () => {
    const made = await bench().shell("made", "echo > $out");
    assert.deepEqual(bench().service.build("x"), {
      id: "x",
      status: "unknown",
      startedAt: "0001-01-01T00:00:00Z",
      endedAt: null,
      results: [],
    });
    assert.equal(bench().service.result("x", made.drvPath).status, "unknown");
    assert.throws(() => bench().service.results("x"), { code: "build.unknown" });
    await assert.rejects(Array.fromAsync(bench().service.watch("x", 0)), { code: "build.unknown" });
  });

  test("say why something was built", async () => {
    const source = await bench().source("src", "1");
    const low = (env: string, src: StorePath): Promise<Made> =>
      bench().shell("why-low", "cat $src > $out", { sources: { src }, env: { FLAGS: env } });
    const first = await low("-O1", source);
    const reasons = async (made: Made): Promise<unknown> => {
      const { id } = await bench().realize(made);
      return bench()
        .service.results(id)
        .find(({ drvPath }) => drvPath === made.drvPath)?.reason;
    };
    assert.deepEqual(await reasons(first), { code: "neverRealised" });
    assert.equal(await reasons(first), null);
    const changed = await bench().source("src", "2");
    const withSource = await reasons(await low("-O1", changed));
    assert.partialDeepStrictEqual(withSource, {
      code: "inputChanged",
      detail: { inputs: ["src"] },
    });
    const withFlags = await reasons(await low("-O2", changed));
    assert.partialDeepStrictEqual(withFlags, {
      code: "derivationChanged",
      detail: { changes: ['env.FLAGS "-O1" -> "-O2"'] },
    });
  });

  test("are forgotten with their logs after the time they are kept", async () => {
    let now = Date.UTC(2026, 0, 1);
    const clock = { now: () => now, monotonic: () => performance.now() };
    await using own = await Workbench.open({ clock, retention: 60_000 });
    const made = await own.shell("old", "echo old; exit 1");
    const old = await own.realize(made);
    now += 30_000;
    const young = await own.realize(made);
    now += 31_000;
    await own.restart();
    while (own.service.recentIDs(9).length > 1) await new Promise(setImmediate);
    assert.deepEqual(own.service.recentIDs(9), [young.id]);
    assert.equal(own.service.build(old.id).status, "unknown");
    const logs = join(own.folder, "log", old.id.slice(0, 4));
    assert.deepEqual(readdirSync(logs), [young.id]);
  });
});

test("every ten seconds a build tells what runs", async (t) => {
  await using bench = await Workbench.open();
  t.mock.timers.enable({ apis: ["setInterval"] });
  const gate = join(bench.folder, "gate");
  const slow = await bench.shell(
    "slow",
    `while [ ! -e ${gate} ]; do sleep 0.05; done; echo > $out`,
  );
  const id = await bench.service.realize({ drvPaths: [slow.drvPath] });
  for await (const event of bench.service.watch(id, 0)) {
    if (event.type === "result.started") t.mock.timers.tick(10_000);
    if (event.type !== "tick") continue;
    assert.deepEqual(
      [event.running.map(({ drvPath }) => drvPath), event.waiting],
      [[slow.drvPath], 0],
    );
    break;
  }
  writeFileSync(gate, "");
  const { events } = await bench.finished(id);
  assert.equal(events.filter(({ type }) => type === "tick").length, 1);
});
