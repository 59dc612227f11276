// A plain user's sandboxes and store: everybody's paths, and what a person gets to see of where things really lie.
import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { shellTargets } from "./support/cli.ts";
import { PlainUser, withoutNamespaces } from "./support/plain-user.ts";
import { type Ended, kilnProgram, World } from "./support/world.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const examples = ["hello", "diamond", "greeter"].map((name) => `examples/${name}`);

interface Outcome {
  readonly paths: readonly string[];
  /** How builders were run, each way once. */
  readonly executors: readonly string[];
}

/** From `--json`. */
function outcomeOf({ code, stdout, stderr }: Ended): Outcome {
  assert.equal(code, 0, `${stderr}\n${stdout.toString().slice(-4000)}`);
  const events = stdout
    .toString()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Event);
  const paths = events.flatMap(({ type, outputs = [] }) =>
    type === "result.finished" ? outputs.map(({ path }) => path) : [],
  );
  const executors = events.flatMap(({ type, executor }) =>
    type === "result.started" && executor !== undefined ? [executor] : [],
  );
  return { paths: paths.toSorted(), executors: [...new Set(executors)] };
}

interface Event {
  readonly type: string;
  readonly executor?: string;
  readonly outputs?: readonly { readonly path: string }[];
}

/** Root as in containers, which has not all of its powers. */
const withoutAdmin = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin", "--"];

test("the examples have the same store paths rootless, as root, and as root without isolation", async () => {
  const args = ["build", "--json", ...examples];
  await using user = new PlainUser();
  const rootless = outcomeOf(await user.run(args, { cwd: root }));
  assert.deepEqual(rootless.executors, ["sandbox"]);
  assert.ok(rootless.paths.length >= 6);
  assert.ok(rootless.paths.every((path) => path.startsWith("/opt/zb/store/")));
  for (const [through, flags, executor, warnings] of [
    [[], [], "sandbox", 0],
    [[], ["--sandbox=false"], "process", 0],
    [withoutAdmin, [], "sandbox", 0],
    [[...withoutAdmin, ...withoutNamespaces], [], "process", 1],
  ] as const) {
    await using world = await World.open();
    const [program = "", ...words] = [...through, kilnProgram, ...args, ...flags];
    const ended = await world.run(program, words, { cwd: root });
    assert.deepEqual(outcomeOf(ended), { paths: rootless.paths, executors: [executor] });
    assert.equal([...ended.stderr.matchAll(/not isolated/g)].length, warnings, ended.stderr);
  }
});

describe("a plain user's own store", () => {
  const buildFile = shellTargets({ default: "pwd >$out; ls -d $ZB_STORE >>$out" });
  const mapped = (user: PlainUser): string => join(user.home, ".local/share/kiln/opt/zb/store");

  test("has everybody's paths; links and `store path --real` tell where objects lie", async () => {
    await using user = new PlainUser();
    user.write("project/kiln.build.ts", buildFile);
    const built = await user.run(["build", "-o", "link", "project"]);
    assert.equal(built.code, 0, built.stderr);
    const path = built.stdout.toString().trim();
    assert.match(path, /^\/opt\/zb\/store\/\S+-main$/);
    const real = join(mapped(user), path.slice("/opt/zb/store/".length));
    assert.equal(readlinkSync(join(user.home, "link")), real);
    assert.equal(readFileSync(real, "utf8"), "/build\n/opt/zb/store\n");
    for (const operand of [path, "link", real]) {
      const shown = await user.run(["store", "path", operand]);
      assert.equal(shown.stdout.toString(), `${path}\n`, shown.stderr);
      const shownReal = await user.run(["store", "path", "--real", operand]);
      assert.equal(shownReal.stdout.toString(), `${real}\n`);
    }
    const json = await user.run(["store", "path", "--json", "link"]);
    assert.deepEqual(JSON.parse(json.stdout.toString()), { path, realPath: real });
    const missing = await user.run(["store", "path", path.replace(/store\/..../, "store/0000")]);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /is not in the store \[store\.missing\]/);
    assert.ok(!built.stdout.includes(user.home));
  });

  test("gets its lost database back, and is not passed over for another store meanwhile", async () => {
    await using user = new PlainUser();
    user.write("project/kiln.build.ts", buildFile);
    assert.equal((await user.run(["build", "project"])).code, 0);
    const unmapped = join(user.home, ".local/share/kiln/store");
    assert.equal((await user.run(["build", "--sandbox=false", "project"])).code, 0);
    rmSync(join(mapped(user), "../var/zb/db.sqlite"), { force: true });
    rmSync(join(mapped(user), "../var/kiln/db.sqlite"), { force: true });
    for (const command of [
      ["build", "project"],
      ["store", "list"],
    ]) {
      const lost = await user.run(command);
      assert.equal(lost.code, 1);
      assert.match(lost.stderr, /\[database\.lost\]/);
      assert.ok(lost.stderr.includes("kiln store rebuild-db;"), lost.stderr);
      assert.ok(lost.stderr.includes(`remove ${mapped(user)}/.kiln/store-id`), lost.stderr);
    }
    const rebuilt = await user.run(["store", "rebuild-db"]);
    assert.equal(rebuilt.code, 0, rebuilt.stderr);
    assert.equal((await user.run(["build", "project"])).code, 0);

    rmSync(join(unmapped, "../var/kiln/db.sqlite"));
    const other = await user.run(["build", "--sandbox=false", "project"]);
    assert.match(other.stderr, new RegExp(`kiln store rebuild-db --store ${unmapped};`));
    const again = await user.run(["store", "rebuild-db", "--store", unmapped]);
    assert.equal(again.code, 0, again.stderr);
  });

  test("is one without mapping where there are no sandboxes, and stays the one in use", async () => {
    await using user = new PlainUser();
    user.write("project/kiln.build.ts", buildFile);
    const own = join(user.home, ".local/share/kiln/store");
    const first = await user.run(["build", "project"], { through: withoutNamespaces });
    assert.equal(first.code, 0, first.stderr);
    assert.match(first.stdout.toString(), new RegExp(`^${own}/\\S+-main\\n$`));
    const warnings = first.stderr.split("\n").filter((line) => line.includes("not isolated"));
    assert.equal(warnings.length, 1, first.stderr);
    assert.match(warnings[0] ?? "", /this kernel forbids user namespaces \(kiln doctor\)$/);
    // Here there are sandboxes; the store is where it was.
    const second = await user.run(["build", "project"]);
    assert.equal(second.stdout.toString(), first.stdout.toString());
    assert.match(second.stderr, /nothing to build/);
    assert.ok(!existsSync(mapped(user)));
  });

  test("that is mapped is of no use without sandboxes, which is said with the remedy", async () => {
    await using user = new PlainUser();
    user.write("project/kiln.build.ts", buildFile);
    user.write("other/kiln.build.ts", shellTargets({ default: "echo other >$out" }));
    assert.equal((await user.run(["build", "project"])).code, 0);
    const ended = await user.run(["build", "other"], { through: withoutNamespaces });
    assert.equal(ended.code, 1);
    assert.match(
      ended.stderr,
      /this kernel forbids user namespaces: only in sandboxes is the store at/,
    );
    const forced = await user.run(["build", "--sandbox=false", "other"]);
    assert.equal(forced.code, 0, forced.stderr);
    assert.match(forced.stdout.toString(), /\/\.local\/share\/kiln\/store\/\S+-main\n$/);
  });
});

describe("where namespaces are forbidden", () => {
  test("`kiln build --sandbox` and `kiln serve` refuse, with reason and remedy", async () => {
    await using user = new PlainUser();
    user.write("project/kiln.build.ts", shellTargets({ default: "echo x >$out" }));
    for (const args of [
      ["serve", "--store", join(user.home, "store")],
      ["serve", "--store", join(user.home, "store"), "--sandbox=1"],
      ["serve", "--store", join(user.home, "store"), "--sandbox=relaxed"],
      ["build", "--store", join(user.home, "store"), "--sandbox", "project"],
    ]) {
      const ended = await user.run(args, { through: withoutNamespaces });
      assert.equal(ended.code, 1, args.join(" "));
      assert.match(
        ended.stderr,
        /kiln: error: this kernel forbids user namespaces \[sandbox\.unavailable\]/,
      );
      assert.match(ended.stderr, /try .*max_user_namespaces/);
    }
  });

  test("a store that is another's is named as that, with the ways to get at it", async () => {
    await using user = new PlainUser();
    user.write("project/kiln.build.ts", shellTargets({ default: "echo hi > $out" }));
    const store = join(user.home, "store");
    const built = await user.run(["build", "--store", store, "--sandbox=false", "project"]);
    assert.equal(built.code, 0, built.stderr);
    chmodSync(store, 0o555);
    const { code, stderr } = await user.run(["store", "list", "--store", store]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /: the store at \S+ is another user's: \S+ cannot .* \[store\.directory\]$/m,
    );
    assert.match(stderr, /^ {2}try .* kiln serve --socket-group .* sudo;/m);
  });

  test("`kiln doctor` says what is wrong, and ends with 1", async () => {
    await using user = new PlainUser();
    const ended = await user.run(["doctor", "--json"], { through: withoutNamespaces });
    assert.equal(ended.code, 1);
    const { findings } = JSON.parse(ended.stdout.toString()) as {
      findings: { about: string; state: string; text: string; hint?: string }[];
    };
    const bad = findings.filter(({ about }) => about === "sandbox");
    assert.deepEqual(bad, [
      {
        about: "sandbox",
        state: "bad",
        text: "builders cannot be isolated: this kernel forbids user namespaces",
        hint: "sysctl user.max_user_namespaces=10000; or run as root",
      },
    ]);
  });
});

test("`kiln doctor` finds this machine well, and says how builders are isolated", async () => {
  await using user = new PlainUser();
  const ended = await user.run(["doctor"]);
  assert.equal(ended.code, 0, ended.stdout.toString());
  assert.match(
    ended.stdout.toString(),
    /^good {2}sandbox {2}builders are isolated: user mount pid/m,
  );
  assert.match(ended.stdout.toString(), /^good {2}limits {3}memory by /m);
  assert.match(ended.stdout.toString(), /^good {2}daemon {3}none at /m);
});
