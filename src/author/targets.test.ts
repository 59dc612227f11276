import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { derivation, param, perSystem, target } from "./api.ts";
import { configure, context } from "./context.ts";
import { Fault } from "./fault.ts";
import type { GivenArgs } from "./params.ts";
import { Selection } from "./selection.ts";
import { listTargets } from "./targets.ts";
import type { DerivationOf } from "./values.ts";

function make(name: string, env: Record<string, string> = {}): DerivationOf<"out"> {
  return derivation({ name, system: "x86_64-linux", builder: "/bin/sh", env });
}

/** What is wanted of these exports, as `name = derivation` or `name = derivation!output`. */
async function select(exports: object, asked: string[], args: GivenArgs = {}): Promise<string[]> {
  const selection = new Selection({ ...exports }, { file: "kiln.build.ts", location: "." }, args);
  const wanted = await selection.select(asked);
  return wanted.map(({ name, item, output }) => {
    const what = item.derivationName + (output === undefined ? "" : `!${output}`);
    return `${name} = ${what}`;
  });
}

async function fault(...given: Parameters<typeof select>): Promise<Fault> {
  try {
    await select(...given);
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    return error;
  }
  return assert.fail("something was found");
}

async function onSystem<T>(system: string, call: () => Promise<T>): Promise<T> {
  const before = context().system;
  configure({ system });
  try {
    return await call();
  } finally {
    configure({ system: before });
  }
}

suite("what can be asked for", () => {
  test("the default export, by no name", async () => {
    assert.deepEqual(await select({ default: make("app") }, [""]), ["app = app"]);
  });

  test("exports by name, also promised ones, in the order of asking", async () => {
    const exports = { a: make("one"), b: Promise.resolve(make("two")) };
    assert.deepEqual(await select(exports, ["b", "a"]), ["b = two", "a = one"]);
  });

  test("one output, exported or as a part", async () => {
    const lib = derivation({ name: "lib", builder: "/bin/sh", outputs: ["out", "dev"] });
    const exports = { lib, dev: lib.dev };
    assert.deepEqual(await select(exports, ["lib", "dev", "lib/dev"]), [
      "lib = lib",
      "dev = lib!dev",
      "lib/dev = lib!dev",
    ]);
  });

  test("groups as a whole and their members, one in another", async () => {
    const exports = { all: { a: make("one"), more: { b: make("two"), c: make("three") } } };
    assert.deepEqual(await select(exports, ["all"]), [
      "all/a = one",
      "all/more/b = two",
      "all/more/c = three",
    ]);
    assert.deepEqual(await select(exports, ["all/more/b"]), ["all/more/b = two"]);
  });

  test("members of a list by the names of their derivations", async () => {
    const exports = { default: [make("one"), make("two")] };
    assert.deepEqual(await select(exports, [""]), ["one = one", "two = two"]);
    assert.deepEqual(
      await select(exports, ["/two"]),
      ["two = two"].map((text) => `/${text}`),
    );
  });

  test("a list that holds a derivation twice holds it once", async () => {
    assert.deepEqual(await select({ x: [make("one"), make("one")] }, ["x"]), ["x/one = one"]);
  });

  test("a list cannot hold two of one name", async () => {
    const { code, message } = await fault({ x: [make("one"), make("one", { A: "1" })] }, ["x"]);
    assert.equal(code, "target.duplicate");
    assert.match(
      message,
      /target "x" has two members named "one" \(the other one is made at .*:\d+/,
    );
  });

  test("such a list can be listed, and what else there is can be built", async () => {
    const exports = { x: [make("one"), make("one", { A: "1" })], y: make("two") };
    const listing = await listTargets(exports);
    assert.deepEqual(
      listing.map(({ name }) => name),
      ["x", "x/one", "y"],
    );
    assert.deepEqual(await select(exports, ["y"]), ["y = two"]);
  });
});

suite("systems", () => {
  const asked: string[] = [];
  const tool = perSystem(["x86_64-linux", "aarch64-linux"], (system) => {
    asked.push(system);
    return derivation({ name: `tool-${system}`, system, builder: "/bin/sh" });
  });

  test("the wanted one is chosen, and no other is made", async () => {
    const found = await onSystem("aarch64-linux", () => select({ tool }, ["tool"]));
    assert.deepEqual(found, ["tool = tool-aarch64-linux"]);
    assert.deepEqual(asked, ["aarch64-linux"]);
    const { bySystem } = tool;
    assert.deepEqual(Object.keys(bySystem), ["x86_64-linux", "aarch64-linux"]);
    void [Reflect.get(bySystem, "aarch64-linux"), Reflect.get(bySystem, "aarch64-linux")];
    assert.equal(asked.length, 1);
  });

  test("another one is a part", async () => {
    const found = await onSystem("riscv64-linux", () => select({ tool }, ["tool/x86_64-linux"]));
    assert.deepEqual(found, ["tool/x86_64-linux = tool-x86_64-linux"]);
  });

  test("one that is not there is told with those that are", async () => {
    const { message, hint } = await onSystem("riscv64-linux", () => fault({ tool }, ["tool"]));
    assert.equal(message, 'target "tool" is not made for riscv64-linux');
    assert.match(hint ?? "", /it is for x86_64-linux, aarch64-linux/);
  });

  test("a part of what is made for the system needs no name of the system", async () => {
    const group = perSystem(["x86_64-linux"], () => ({ a: make("one"), b: make("two") }));
    const found = await onSystem("x86_64-linux", () =>
      select({ group }, ["group/b", "group/x86_64-linux/a"]),
    );
    assert.deepEqual(found, ["group/b = two", "group/x86_64-linux/a = one"]);
  });
});

suite("parameters", () => {
  const tool = target(
    {
      race: param.flag().doc("with the race detector"),
      tag: param.string("dev"),
      level: param.integer(1),
      mode: param.choice(["debug", "release"], "debug"),
    },
    ({ race, tag, level, mode }) => make(`tool-${tag}-${mode}-${level}${race ? "-race" : ""}`),
  );

  test("have their defaults", async () => {
    assert.deepEqual(await select({ tool }, ["tool"]), ["tool = tool-dev-debug-1"]);
  });

  test("are read by their kinds", async () => {
    const args = { race: true, tag: "1.0", level: "-3", mode: "release" } as const;
    assert.deepEqual(await select({ tool }, ["tool"], args), ["tool = tool-1.0-release--3-race"]);
    const off = await select({ tool }, ["tool"], { race: "false" });
    assert.deepEqual(off, ["tool = tool-dev-debug-1"]);
  });

  for (const [name, text, message] of [
    ["race", "maybe", 'parameter race of tool is "maybe"'],
    ["tag", true, "parameter tag of tool has no value"],
    ["level", "1.5", 'parameter level of tool is "1.5"'],
    ["level", "99999999999999999999", 'parameter level of tool is "99999999999999999999"'],
    ["mode", "fast", 'parameter mode of tool is "fast"'],
  ] satisfies [string, string | true, string][]) {
    test(`${name} cannot be ${text === true ? "without value" : text}`, async () => {
      const { code, message: told } = await fault({ tool }, ["tool"], { [name]: text });
      assert.equal(code, "target.argument");
      assert.equal(told, message);
    });
  }

  test("that no target has are told with those that there are", async () => {
    const { message, hint } = await fault({ tool }, ["tool"], { rcae: true });
    assert.equal(message, 'there is no parameter "rcae"');
    assert.match(hint ?? "", /race \(true or false\), tag \(a text\), .*one of debug, release/);
    const none = await fault({ app: make("app") }, ["app"], { race: true });
    assert.equal(none.hint, "the targets asked for have none");
  });

  test("without a default must be given", async () => {
    const needy = target({ tag: param.string() }, ({ tag }) => make(tag));
    const { message, hint } = await fault({ needy }, ["needy"]);
    assert.equal(message, "parameter tag of needy is not given");
    assert.equal(hint, "--arg tag=… (a text)");
    assert.deepEqual(await select({ needy }, ["needy"], { tag: "x" }), ["needy = x"]);
  });

  test("are checked when code gives them", () => {
    assert.equal(tool({ race: true }).name, "tool-dev-debug-1-race");
    assert.throws(
      () => Reflect.apply(tool, undefined, [{ race: "yes" }]),
      /race of target\(\) is "yes"/,
    );
    assert.throws(() => Reflect.apply(tool, undefined, [{ rase: true }]), /no parameter "rase"/);
  });

  test("reach all targets that are asked for", async () => {
    const other = target({ tag: param.string("x") }, ({ tag }) => make(`other-${tag}`));
    assert.deepEqual(await select({ tool, other }, ["tool", "other"], { tag: "7" }), [
      "tool = tool-7-debug-1",
      "other = other-7",
    ]);
  });

  test("of a target within a group count, too", async () => {
    assert.deepEqual(await select({ all: { tool } }, ["all"], { tag: "7" }), [
      "all/tool = tool-7-debug-1",
    ]);
  });

  test("must be made by param", () => {
    assert.throws(() => Reflect.apply(target, undefined, [{ a: 1 }, make]), /"a" is no parameter/);
    const [first, other]: string[] = ["a", "b"];
    assert.throws(() => param.choice([first ?? ""], other), /the default is "b"/);
  });
});

suite("no text is", () => {
  const told = (value: unknown): string => {
    try {
      return String(value);
    } catch (error) {
      assert.ok(error instanceof Fault);
      return `${error.message}; ${error.hint}`;
    }
  };

  test("a target()", () => {
    const tool = target({}, () => make("tool"));
    assert.equal(
      told(tool),
      "a target() stands in a string; call it: what it gives can stand in a string",
    );
    assert.match(told(tool()), /^\//);
  });

  test("a perSystem()", () => {
    const tool = perSystem(["x86_64-linux"], () => make("tool"));
    assert.equal(
      told(tool),
      "a perSystem() stands in a string; say which one is meant: .bySystem[…] behind it",
    );
  });
});

suite("what is not there or cannot be built", () => {
  const app = make("app");

  test("an unknown target is told with the one that was probably meant", async () => {
    const { code, message, hint } = await fault({ app, docs: app, site: app }, ["ap"]);
    assert.equal(code, "target.unknown");
    assert.equal(message, 'no target "ap" in kiln.build.ts');
    assert.equal(hint, ".#app (others: docs, site)");
  });

  test("a derivation that is asked for by its own name is told with its target", async () => {
    const exports = { default: make("report"), app, docs: make("manual") };
    assert.equal((await fault(exports, ["report"])).hint, "the derivation of that name is .");
    assert.equal((await fault(exports, ["manual"])).hint, "the derivation of that name is .#docs");
  });

  test("an output as a build file names it is told with its /", async () => {
    assert.equal((await fault({ app }, ["app.dev"])).hint, ".#app/dev");
    assert.equal((await fault({ docs: app }, ["app.dev"])).hint, "the only target is .#docs");
  });

  test("names that every object has are no targets", async () => {
    assert.equal((await fault({ app }, ["toString"])).code, "target.unknown");
    assert.equal((await fault({ app: { app } }, ["app/constructor"])).code, "target.unknown");
  });

  for (const [what, value, told] of [
    ["a function", (): unknown => app, "a function; wrap it in target()"],
    ["a text", "x", '"x"'],
    ["settings", { env: {} }, "an object"],
    ["an empty list", [], "a list"],
    ["undefined", undefined, "undefined"],
  ] satisfies [string, unknown, string][]) {
    test(`${what} is no target`, async () => {
      const { code, message, hint } = await fault({ app, x: value }, ["x"]);
      assert.equal(code, "target.kind");
      assert.equal(message, `"x" in kiln.build.ts is no target but ${told}`);
      assert.equal(hint, "the only target is .#app");
    });
  }

  test("a file without a default export says what it has", async () => {
    const { message, hint } = await fault({ app, x: "x" }, [""]);
    assert.equal(message, "kiln.build.ts has no default export to build");
    assert.equal(hint, "kiln build .#app");
    assert.match((await fault({}, [""])).hint ?? "", /export a derivation/);
  });

  test("a part that is not there", async () => {
    const { message, hint } = await fault({ g: { app } }, ["g/ap"]);
    assert.equal(message, 'target "g" has no part "ap"');
    assert.equal(hint, ".#g/app");
    const two = { g: { app, docs: app } };
    assert.equal((await fault(two, ["g/x"])).hint, "the parts are app, docs");
    assert.match((await fault({ g: app.out }, ["g/x"])).message, /has no parts, so no "x"/);
    assert.match((await fault({ app }, ["app/"])).message, /has no part ""/);
  });

  test("a target() that makes nothing is told by where it was written", async () => {
    const broken = Reflect.apply(target, undefined, [{}, () => "nothing"]);
    const { message, at } = await fault({ broken }, ["broken"]);
    assert.equal(message, 'target "broken" gives "nothing", nothing that can be built');
    assert.match(at ?? "", /targets\.test\.ts:\d+:\d+$/);
  });
});

test("the listing has every target with its parts, systems and parameters, and nothing else", async () => {
  const lib = derivation({ name: "lib", builder: "/bin/sh", outputs: ["out", "dev"] });
  const listing = await listTargets({
    tool: target({ level: param.integer().doc("how much") }, () => lib),
    lib,
    helper: () => lib,
    default: lib.dev,
    text: "x",
    all: { a: lib, b: [lib] },
    each: perSystem(["x86_64-linux"], () => lib),
  });
  assert.deepEqual(listing, [
    { name: "", kind: "output" },
    { name: "all", kind: "group" },
    { name: "all/a", kind: "derivation" },
    { name: "all/b", kind: "group" },
    { name: "all/b/lib", kind: "derivation" },
    { name: "each", kind: "perSystem", systems: ["x86_64-linux"] },
    { name: "lib", kind: "derivation" },
    {
      name: "tool",
      kind: "target",
      parameters: [{ name: "level", kind: "integer", doc: "how much" }],
    },
  ]);
});
