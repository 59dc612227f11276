/* oxlint-disable typescript/restrict-template-expressions -- what prints into strings is what this is about */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import * as fc from "fast-check";
import { temporaryDirectory } from "../util/temp.ts";
import { derivationPath } from "../format/derivation/print.ts";
import {
  derivation,
  extract,
  fetchArchive,
  fetchUrl,
  path,
  placeholder,
  storePath,
  text,
  type DerivationOf,
} from "./api.ts";
import { atermOf, parsed } from "./derivation.test.support.ts";
import { Fault } from "./fault.ts";

const system = "x86_64-linux";
const sh = { system, builder: "/bin/sh" } as const;
const placeholderOfOut = "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9";

let folder: Awaited<ReturnType<typeof temporaryDirectory>>;
before(async () => {
  folder = await temporaryDirectory(realpathSync(tmpdir()), "kiln-describe-");
  const at = (name: string): string => join(folder.path, name);
  writeFileSync(at("hello.txt"), "hello\n");
  mkdirSync(at("src/sub"), { recursive: true });
  writeFileSync(at("src/build.sh"), "echo hi > $out\n");
  chmodSync(at("src/build.sh"), 0o755);
  writeFileSync(at("src/skip.txt"), "x");
  writeFileSync(at("src/sub/y.txt"), "y");
  symlinkSync("sub/y.txt", at("src/link"));
});
after(() => folder[Symbol.asyncDispose]());

/** As from a build file whose types nobody checked. */
function described(options: object): unknown {
  return Reflect.apply(derivation, undefined, [options]);
}

function fault(make: () => unknown): Fault {
  try {
    make();
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    assert.match(error.at ?? "", /describe\.test\.ts:\d+:\d+$/);
    return error;
  }
  return assert.fail("nothing was thrown");
}

function hello(): DerivationOf<"out"> {
  return derivation({
    name: "hello.txt",
    ...sh,
    args: ["-c", `while read l; do echo "$l"; done < $src > $out`],
    env: { src: path(join(folder.path, "hello.txt")) },
  });
}

/** The pieces in which a builder gets these attrs. */
function attrsOf(attrs: unknown): string[] {
  const { env } = parsed(derivation({ name: "a", ...sh, attrs }));
  const pieces = [env.get("attrs") ?? ""];
  for (let i = 1; env.has(`attrs${i}`); i++) pieces.push(env.get(`attrs${i}`) ?? "");
  return pieces;
}

suite("what zb's front end writes for the same description", () => {
  test("a script with one source is the same derivation", () => {
    const value = hello();
    assert.equal(
      value.drvPath.storePath,
      "/opt/zb/store/3rsjjc3n48s4vn1qzns1q56d5wh7zms3-hello.txt.drv",
    );
    assert.equal(String(value), "/11kxb11clsl1pgl55dc05345kba9h78hc99wcg7vladk85z4j292");
    assert.equal(
      String(atermOf(value)),
      String.raw`Derive([("out","","r:sha256","")],[],["/opt/zb/store/p09vsbdv8v3g0plyglld6w6b05j1svi9-hello.txt"],"x86_64-linux","/bin/sh",["-c","while read l; do echo \"$l\"; done < $src > $out"],[("args","-c while read l; do echo \"$l\"; done < $src > $out"),("builder","/bin/sh"),("name","hello.txt"),("out","/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"),("src","/opt/zb/store/p09vsbdv8v3g0plyglld6w6b05j1svi9-hello.txt"),("system","x86_64-linux")])`,
    );
  });

  test("a filtered tree, a text with a reference, lists, booleans and escapes are the same derivation", () => {
    const A = hello();
    const tree = path(join(folder.path, "src"), {
      name: "app-src",
      filter: (entry) => entry.path !== "skip.txt",
    });
    const conf = text("app.conf", `greeting=hello\nsrc=${path(join(folder.path, "hello.txt"))}\n`);
    const app = derivation({
      name: "app-1.0",
      ...sh,
      args: [`${tree}/build.sh`, "--greeting", A],
      env: {
        inputs: [A, tree, conf],
        level: 3,
        release: true,
        debug: false,
        conf,
        quoted: 'a\tb"c\\d\ne',
      },
    });
    assert.equal(tree.storePath, "/opt/zb/store/iwvibmqw7rfnfa4c547b603ig3a5bj7m-app-src");
    assert.equal(conf.storePath, "/opt/zb/store/gvs1k6cfz2rd5idx1vbh5imsh4qflidh-app.conf");
    assert.equal(
      app.drvPath.storePath,
      "/opt/zb/store/zh61v8a7wx6cxcqrnkc66zh6rcjajrda-app-1.0.drv",
    );
    assert.equal(
      String(atermOf(app)),
      String.raw`Derive([("out","","r:sha256","")],[("/opt/zb/store/3rsjjc3n48s4vn1qzns1q56d5wh7zms3-hello.txt.drv",["out"])],["/opt/zb/store/gvs1k6cfz2rd5idx1vbh5imsh4qflidh-app.conf","/opt/zb/store/iwvibmqw7rfnfa4c547b603ig3a5bj7m-app-src"],"x86_64-linux","/bin/sh",["/opt/zb/store/iwvibmqw7rfnfa4c547b603ig3a5bj7m-app-src/build.sh","--greeting","/11kxb11clsl1pgl55dc05345kba9h78hc99wcg7vladk85z4j292"],[("args","/opt/zb/store/iwvibmqw7rfnfa4c547b603ig3a5bj7m-app-src/build.sh --greeting /11kxb11clsl1pgl55dc05345kba9h78hc99wcg7vladk85z4j292"),("builder","/bin/sh"),("conf","/opt/zb/store/gvs1k6cfz2rd5idx1vbh5imsh4qflidh-app.conf"),("debug",""),("inputs","/11kxb11clsl1pgl55dc05345kba9h78hc99wcg7vladk85z4j292 /opt/zb/store/iwvibmqw7rfnfa4c547b603ig3a5bj7m-app-src /opt/zb/store/gvs1k6cfz2rd5idx1vbh5imsh4qflidh-app.conf"),("level","3"),("name","app-1.0"),("out","/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"),("quoted","a\tb\"c\\d\ne"),("release","1"),("system","x86_64-linux")])`,
    );
  });

  test("a fetched archive is the same two derivations", () => {
    const url = "https://example.com/dist/thing-2.0.tar.gz";
    const hash = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const thing = fetchArchive({ url, hash });
    assert.equal(
      thing.drvPath.storePath,
      "/opt/zb/store/x6a5glz0697af7m7n0632yr1qq74s5cs-thing-2.0.drv",
    );
    assert.equal(
      String(atermOf(thing)),
      String.raw`Derive([("out","","r:sha256","")],[("/opt/zb/store/ajzs04lypaay0p92dic7jwqfrxwdak2x-thing-2.0.tar.gz.drv",["out"])],[],"builtin","builtin:extract",[],[("builder","builtin:extract"),("name","thing-2.0"),("out","/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9"),("src","/opt/zb/store/277iljm9sjr0flvpmm407hs2pgsbn08q-thing-2.0.tar.gz"),("stripFirstComponent","1"),("system","builtin")])`,
    );
    const file = fetchUrl({ url, hash });
    assert.equal(
      file.drvPath.storePath,
      "/opt/zb/store/ajzs04lypaay0p92dic7jwqfrxwdak2x-thing-2.0.tar.gz.drv",
    );
    assert.equal(
      String(atermOf(file)),
      String.raw`Derive([("out","/opt/zb/store/277iljm9sjr0flvpmm407hs2pgsbn08q-thing-2.0.tar.gz","sha256","ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")],[],[],"builtin","builtin:fetchurl",[],[("builder","builtin:fetchurl"),("executable",""),("impureEnvVars","http_proxy https_proxy ftp_proxy all_proxy no_proxy"),("name","thing-2.0.tar.gz"),("out","/opt/zb/store/277iljm9sjr0flvpmm407hs2pgsbn08q-thing-2.0.tar.gz"),("outputHash","sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),("outputHashMode","flat"),("preferLocalBuild","1"),("system","builtin"),("unpack",""),("url","https://example.com/dist/thing-2.0.tar.gz"),("urls","https://example.com/dist/thing-2.0.tar.gz")])`,
    );
  });
});

suite("derivations whose paths zb 0.1.0 told for the same Lua", () => {
  const abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  const base = derivation({ name: "base", ...sh });
  const one = fetchUrl({ url: "https://a.example/abc?x=1", hash: abc, name: "abc" });
  const thing = fetchUrl({
    url: "https://a.example/x/thing-1.tgz",
    hash: "sha512-3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==",
  });
  for (const [what, expected, make] of [
    [
      "a fetched program",
      "hc2xh7xbp3j29kdzk4lw5pdjssf8dwsm-tool",
      () => fetchUrl({ url: "https://a.example/tool", hash: abc, executable: true }),
    ],
    ["a hash in SRI form", "hm3l7ccyvpzh6hqiyfgqy1ylc277i2gf-thing-1.tgz", () => thing],
    ["a URL with a query", "r19ir6yzwq4xhfnr52pcsfmvb5a1c8q6-abc", () => one],
    [
      "two fixed outputs with one path",
      "zj6q00ag1ivi2mjw27fph1p41fbjqsxi-two",
      () => {
        const other = fetchUrl({ url: "https://b.example/abc", hash: abc });
        const env = { a: one.out, b: other.out, list: [one, other] };
        return derivation({ name: "two", ...sh, args: [], env });
      },
    ],
    [
      "an archive with several folders in it",
      "52lk7jsbk0n0nybjwznl8sm3smd1s7fy-thing",
      () => extract({ src: thing, name: "thing", stripFirstComponent: false }),
    ],
    [
      "outputs in builder and args, a derivation's file, other scripts",
      "0m8q6434vicz6yywijva2lj55mzv7rpm-drv",
      () =>
        derivation({
          name: "drv",
          system,
          builder: `${base}/bin/x`,
          args: ["-c", `x${base}/y`],
          env: { d: base.drvPath, empty: "", uni: "grün 😀", n: -5 },
        }),
    ],
    [
      "a text that refers to a text and a tree",
      "53ji496327x2jhdafh1bqknv280pihvh-tf",
      () => {
        const see = `see ${text("t1", "one\n")} ${path(join(folder.path, "src"))}`;
        return derivation({ name: "tf", ...sh, env: { t: text("t2", see) } });
      },
    ],
    [
      "a tree and a symlink",
      "ca5z3za8c1z11yhj1gs1aig7kvwyd28b-dirs",
      () => {
        const [s, l] = ["src", "src/link"].map((name) => path(join(folder.path, name)));
        return derivation({ name: "dirs", ...sh, env: { s, l } });
      },
    ],
    [
      "a recursive hash with an input",
      "zks6fa0ighpb0hv68dnpqjdgdsxawinq-fx",
      () => derivation({ name: "fx", ...sh, hash: abc, hashMode: "recursive", env: { src: base } }),
    ],
    [
      "access to host and network",
      "kwczmanv5x1hbdl2ixxqgadbfsndqydr-sysd",
      () => derivation({ name: "sysd", ...sh, systemDeps: ["/bin/sh", "/usr"], network: true }),
    ],
  ] satisfies [string, string, () => DerivationOf<"out">][]) {
    test(what, () => {
      assert.equal(make().drvPath.storePath, `/opt/zb/store/${expected}.drv`);
    });
  }
});

suite("outputs", () => {
  test("are properties, and the list of them is in env", () => {
    const lib = derivation({ name: "lib", ...sh, outputs: ["out", "dev"] });
    const { env, outputs } = parsed(lib);
    assert.deepEqual([...outputs.keys()], ["dev", "out"]);
    assert.equal(env.get("outputs"), "out dev");
    assert.equal(env.get("out"), placeholder());
    assert.equal(env.get("dev"), placeholder("dev"));
    assert.equal(lib.dev, lib.outputs["dev"]);
    assert.equal(lib.dev.name, "lib-dev");
    assert.equal(lib.dev.outputName, "dev");
    assert.equal(lib.dev.derivation, lib);
  });

  test("are inputs by their own names, and the derivation's file is an input of another kind", () => {
    const lib = derivation({ name: "lib", ...sh, outputs: ["out", "dev", "doc"] });
    const user = derivation({
      name: "user",
      ...sh,
      args: [`-I${lib.dev}/include`, lib],
      env: { itself: lib.drvPath },
    });
    const { inputDerivations, inputSources } = parsed(user);
    assert.deepEqual([...inputDerivations], [[lib.drvPath.storePath, ["dev", "out"]]]);
    assert.deepEqual(inputSources, [lib.drvPath.storePath]);
  });

  test("without one called out, the derivation itself is no string", () => {
    const lib = derivation({ name: "lib", ...sh, outputs: ["bin", "dev"] });
    const { code, message, hint } = fault(() => `${lib}/x`);
    assert.equal(code, "author.output");
    assert.match(message, /"lib" has no output "out".*bin, dev/);
    assert.equal(hint, "write .bin behind it");
    const inside = fault(() => derivation({ name: "user", ...sh, env: { lib } }));
    assert.match(inside.message, /^derivation "user": derivation "lib" has no output "out"/);
  });

  test("that there are not are no text but a fault that names those there are", async () => {
    const lib = derivation({ name: "lib", ...sh, outputs: ["lib", "dev"] });
    const asked: Readonly<Record<string, unknown>> = { ...lib, outputs: lib.outputs };
    assert.deepEqual(Object.keys(asked), ["name", "drvPath", "outputs", "lib", "dev"]);
    const of = (value: unknown, member: string): unknown =>
      Reflect.get(value as object, member, value);
    for (const value of [lib, lib.outputs]) {
      const { code, message, hint } = fault(() => `${of(value, "bin")}/x`);
      assert.equal(code, "author.output");
      assert.equal(message, 'derivation "lib" has no output "bin"; its outputs are lib, dev');
      assert.equal(hint, undefined);
      assert.equal(fault(() => of(value, "dve")).hint, "write .dev");
    }
    const simple = derivation({ name: "simple", ...sh });
    assert.match(fault(() => of(simple, "outPath")).message, /"outPath"; its output is out$/);
    assert.match(fault(() => of(lib.dev, "include")).message, /^output "lib-dev" has no member/);
    assert.match(fault(() => of(lib.drvPath, "x")).message, /^source "lib.drv" has no member "x"/);
    assert.equal("bin" in lib.outputs, false);
    assert.equal("dev" in lib.outputs, true);
    assert.equal(await Promise.resolve(lib), lib);
  });

  for (const name of ["name", "then", "drvPath", "__x", "attrs", "a=b", "a b", ""]) {
    test(`cannot be called ${JSON.stringify(name)}`, () => {
      assert.match(
        fault(() => derivation({ name: "a", ...sh, outputs: [name] })).message,
        /output/,
      );
    });
  }

  test("cannot be named twice", () => {
    const twice = fault(() => derivation({ name: "a", ...sh, outputs: ["out", "out"] }));
    assert.match(twice.message, /"out" is given twice/);
  });
});

suite("fixed outputs", () => {
  const hash = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

  test("print as their path, and two of them with one path stay two inputs", () => {
    const a = fetchUrl({ url: "https://a.example/abc", hash });
    const b = fetchUrl({ url: "https://b.example/abc", hash });
    assert.notEqual(String(a), String(b));
    const user = parsed(derivation({ name: "user", ...sh, env: { a, b } }));
    assert.equal(user.env.get("a"), "/opt/zb/store/9rgxzwrmhh3z1lqrhx2q22r4fd4bqmqk-abc");
    assert.equal(user.env.get("b"), user.env.get("a"));
    const inputs = [a, b].map((input) => input.drvPath.storePath);
    assert.deepEqual([...user.inputDerivations.keys()], inputs.toSorted());
  });

  test("keep the text of the hash as it was given", () => {
    const { env, outputs } = parsed(derivation({ name: "a", ...sh, hash, hashMode: "recursive" }));
    assert.equal(env.get("outputHash"), hash);
    assert.equal(env.get("outputHashMode"), "recursive");
    const out = outputs.get("out");
    assert.ok(out?.type === "fixed");
    assert.equal(out.ca.method, "recursive");
  });

  test("are flat, without saying so, when no mode is given", () => {
    const { env, outputs } = parsed(derivation({ name: "a", ...sh, hash }));
    assert.equal(env.has("outputHashMode"), false);
    const out = outputs.get("out");
    assert.ok(out?.type === "fixed");
    assert.equal(out.ca.method, "flat");
  });

  test("of programs are recursive", () => {
    const { env } = parsed(fetchUrl({ url: "https://a.example/tool", hash, executable: true }));
    assert.equal(env.get("outputHashMode"), "recursive");
    assert.equal(env.get("executable"), "1");
  });

  for (const [what, options, message] of [
    ["a hash that is none", { hash: "sha256-abc" }, /hash: .*not a hash/],
    ["a mode without a hash", { hashMode: "flat" }, /hashMode is given without hash/],
    ["an unknown mode", { hash, hashMode: "nar" }, /hashMode is "nar"/],
    ["other outputs", { hash, outputs: ["out", "dev"] as const }, /no other output than "out"/],
  ] satisfies [string, object, RegExp][]) {
    test(`refuse ${what}`, () => {
      assert.match(fault(() => described({ name: "a", ...sh, ...options })).message, message);
    });
  }
});

suite("strings", () => {
  test("lose their placeholders wherever they stand, as JSON and joined too", () => {
    const a = derivation({ name: "a", ...sh });
    const file = path(join(folder.path, "hello.txt"));
    const b = parsed(
      derivation({
        name: "b",
        ...sh,
        env: {
          json: JSON.stringify({ a, list: [file] }),
          joined: [a, file].join(":"),
          added: a + "/x",
        },
      }),
    );
    assert.equal(b.env.get("json"), `{"a":"${a}","list":["${file.storePath}"]}`);
    assert.equal(b.env.get("joined"), `${a}:${file.storePath}`);
    assert.equal(b.env.get("added"), `${a}/x`);
    assert.deepEqual([...b.inputDerivations.keys()], [a.drvPath.storePath]);
    assert.deepEqual(b.inputSources, [file.storePath]);
  });

  test("keep what only looks like a placeholder", () => {
    const own = placeholder("dev");
    const { env, inputDerivations } = parsed(derivation({ name: "a", ...sh, env: { own } }));
    assert.equal(env.get("own"), own);
    assert.equal(inputDerivations.size, 0);
  });

  test("may be a builder", () => {
    const tool = derivation({ name: "tool", ...sh });
    const { builder } = parsed(derivation({ name: "a", system, builder: `${tool}/bin/tool` }));
    assert.equal(builder, `${tool}/bin/tool`);
    assert.equal(parsed(derivation({ name: "b", system, builder: tool })).builder, String(tool));
  });

  test("may name an object of the store only by what stands for it", () => {
    const literal = "/opt/zb/store/p09vsbdv8v3g0plyglld6w6b05j1svi9-hello.txt";
    const { message, hint } = fault(() =>
      derivation({ name: "a", ...sh, args: ["-c", `cat ${literal}`] }),
    );
    assert.match(message, /args\[1\] has the store path .*-hello\.txt as plain text/);
    assert.match(hint ?? "", /storePath\("\/opt/);
    const { inputSources, args } = parsed(
      derivation({ name: "a", ...sh, args: ["-c", `cat ${storePath(literal)}`] }),
    );
    assert.deepEqual(inputSources, [literal]);
    assert.deepEqual(args, ["-c", `cat ${literal}`]);
    parsed(derivation({ name: "a", ...sh, args: ["/opt/zb/store", "/opt/zb/store/bin"] }));
  });
});

suite("values", () => {
  test("become texts as zb makes them", () => {
    const { env } = parsed(
      derivation({
        name: "a",
        ...sh,
        env: {
          yes: true,
          no: false,
          n: -3,
          list: ["a", 1, true, false],
          none: [],
          left: undefined,
        },
      }),
    );
    assert.equal(env.get("yes"), "1");
    assert.equal(env.get("no"), "");
    assert.equal(env.get("n"), "-3");
    assert.equal(env.get("list"), "a 1 1 ");
    assert.equal(env.get("none"), "");
    assert.equal(env.has("left"), false);
  });

  test("in args are joined in env, and so are none", () => {
    assert.equal(parsed(derivation({ name: "a", ...sh, args: [] })).env.get("args"), "");
    assert.equal(parsed(derivation({ name: "a", ...sh })).env.has("args"), false);
    assert.equal(parsed(derivation({ name: "a", ...sh, args: ["x", 2] })).env.get("args"), "x 2");
  });

  for (const [what, value, message] of [
    ["a fraction", 0.5, "env.X is 0.5; write numbers with a fraction as strings"],
    ["not a number", Number.NaN, "env.X is NaN; that is no number to build with"],
    [
      "a large number",
      2 ** 60,
      "env.X is 1152921504606847000; write numbers this large as strings",
    ],
    ["null", null, "env.X is null"],
    ["an object", { a: 1 }, "env.X is an object"],
    ["a promise", Promise.resolve(1), "env.X is a promise"],
    ["a function", (): number => 1, "env.X is a function"],
    ["a list in a list", [["a"]], "env.X[0] is a list inside a list"],
    ["a hole in a list", [undefined], "env.X[0] is undefined"],
    ["a NUL", "a\0b", "env.X has a NUL character"],
    ["half a pair", "a\ud800b", "env.X has half a surrogate pair, which is no text"],
  ] satisfies [string, unknown, string][]) {
    test(`refuse ${what}`, () => {
      const env: object = { X: value };
      const { message: told } = fault(() => described({ name: "app", ...sh, env }));
      assert.equal(told, `derivation "app": ${message}`);
    });
  }
});

suite("options", () => {
  test("that mean the same are one derivation", () => {
    const options = { name: "same", ...sh, env: { A: "1" } } as const;
    assert.equal(derivation(options), derivation({ ...options, env: { ...options.env } }));
  });

  test("say what the build may use of the host", () => {
    const { env } = parsed(
      derivation({ name: "a", ...sh, systemDeps: ["/bin/sh", "/lib"], network: true }),
    );
    assert.equal(env.get("__buildSystemDeps"), "/bin/sh /lib");
    assert.equal(env.get("__network"), "1");
    const closed = parsed(derivation({ name: "a", ...sh, network: false }));
    assert.equal(closed.env.has("__network"), false);
  });

  for (const [what, options, message, hint] of [
    ["a misspelt option", { bulider: "x" }, /no option "bulider"/, "write builder"],
    ["a builder that is not absolute", { builder: "sh" }, /builder is "sh"; it must be/, undefined],
    ["no builder", { builder: undefined }, /builder is undefined/, undefined],
    ["an empty name", { name: "" }, /its name is empty/, undefined],
    ["a name with a blank", { name: "a b" }, /its name has " "/, undefined],
    ["a name too long", { name: "a".repeat(208) }, /208 characters; 207 are allowed/, undefined],
    ["a relative systemDep", { systemDeps: ["bin"] }, /systemDeps\[0\] is "bin"/, undefined],
    ["env as a list", { env: ["a"] }, /env is a list, not an object/, undefined],
    ["a variable with =", { env: { "a=b": 1 } }, /"a=b", which no variable can have/, undefined],
    [
      "the hash in env",
      { env: { outputHash: "x" } },
      /env.outputHash is written/,
      "use the option hash",
    ],
    ["an output in env", { env: { out: "x" } }, /env.out is written by Kiln/, undefined],
    ["zb's own variables", { env: { __x: "x" } }, /env.__x is written by Kiln/, undefined],
  ] satisfies [string, object, RegExp, string | undefined][]) {
    test(`refuse ${what}`, () => {
      const told = fault(() => described({ name: "app", ...sh, ...options }));
      assert.match(told.message, message);
      if (hint !== undefined) assert.equal(told.hint, hint);
    });
  }

  test("allow a name of 207 characters", () => {
    assert.equal(derivation({ name: "a".repeat(207), ...sh }).name.length, 207);
  });

  test("refuse a variable that no program can be given", () => {
    const fits = 131_072 - "BIG=".length - 1;
    parsed(derivation({ name: "a", ...sh, env: { BIG: "x".repeat(fits) } }));
    const env = { BIG: "x".repeat(fits + 1) };
    assert.match(
      fault(() => derivation({ name: "a", ...sh, env })).message,
      /env.BIG has 131,073 bytes/,
    );
  });

  test("refuse arguments that no program can be given, and joined ones that are too many", () => {
    const long = fault(() => derivation({ name: "a", ...sh, args: ["x".repeat(140_000)] }));
    assert.match(long.message, /args\[0\] has 140,001 bytes/);
    const many = Array.from({ length: 3 }, () => "x".repeat(50_000));
    assert.match(
      fault(() => derivation({ name: "a", ...sh, args: many })).message,
      /args has 150,008/,
    );
  });

  test("refuse more than 1 MiB of everything", () => {
    const env = Object.fromEntries(
      Array.from({ length: 9 }, (_, i) => [`V${i}`, "x".repeat(120_000)]),
    );
    assert.match(fault(() => derivation({ name: "a", ...sh, env })).message, /1 MiB is allowed/);
  });
});

suite("attrs", () => {
  test("are JSON in ASCII, with paths for what prints as one", () => {
    const file = path(join(folder.path, "hello.txt"));
    assert.deepEqual(attrsOf({ file, text: "grün 😀" }), [
      `{"file":"${file.storePath}","text":"gr\\u00fcn \\ud83d\\ude00"}`,
    ]);
  });

  test("are cut into pieces of at most 4,000 characters", () => {
    const pieces = attrsOf("x".repeat(10_000));
    assert.deepEqual(
      pieces.map((piece) => piece.length),
      [4000, 4000, 2002],
    );
  });

  test("join to the same JSON, and no piece ends in a placeholder", () => {
    const output = derivation({ name: "input", ...sh });
    const part = fc.oneof(fc.string({ maxLength: 3000 }), fc.constant(output));
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (list) => {
        const pieces = attrsOf(list);
        assert.deepEqual(JSON.parse(pieces.join("")), JSON.parse(JSON.stringify(list)));
        assert.ok(pieces.every((piece) => piece.length <= 4000));
        const found = pieces.reduce(
          (sum, piece) => sum + piece.split(String(output)).length - 1,
          0,
        );
        assert.equal(found, list.filter((value) => value === output).length);
      }),
      { numRuns: 60 },
    );
  });

  for (const [what, attrs, message] of [
    ["a function", { a: (): number => 1 }, /"a" is a function, which is no JSON/],
    ["an infinite number", [Number.POSITIVE_INFINITY], /"0" is Infinity, which is no JSON/],
    ["a bigint", 1n, /attrs is 1n, which is no JSON/],
  ] satisfies [string, unknown, RegExp][]) {
    test(`refuse ${what}`, () => {
      assert.match(fault(() => derivation({ name: "a", ...sh, attrs })).message, message);
    });
  }

  test("refuse what refers to itself", () => {
    const attrs: unknown[] = [];
    attrs.push(attrs);
    assert.match(fault(() => derivation({ name: "a", ...sh, attrs })).message, /cannot be written/);
  });
});

suite("fetching", () => {
  const hash = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

  test("refuses a URL with a password", () => {
    const url = "https://me:secret@example.com/x";
    assert.match(fault(() => fetchUrl({ url, hash })).message, /has a password/);
  });

  for (const [executable, hint] of [
    [false, `curl -L 'https://example.com/x?a=$b' | sha256sum prints it, for hash: "sha256:…"`],
    [true, `hash: "sha256:${"0".repeat(64)}"; the build then fails and says what it is`],
  ] as const) {
    test(`says how to get the hash of ${executable ? "a program" : "a file"}`, () => {
      const options = { url: "https://example.com/x?a=$b", executable };
      const told = fault(() => Reflect.apply(fetchUrl, undefined, [options]));
      assert.match(told.message, /hash is undefined/);
      assert.equal(told.hint, hint);
    });
  }

  test("needs a name when the URL has none", () => {
    assert.match(
      fault(() => fetchUrl({ url: "https://example.com/", hash })).message,
      /ends in ""/,
    );
    assert.equal(fetchUrl({ url: "https://example.com/", hash, name: "x" }).name, "x");
    assert.equal(fetchUrl({ url: "https://example.com/a/b.txt?raw=1", hash }).name, "b.txt");
  });

  test("extracts by the source's name without its ending, of which .tgz is none", () => {
    const [bz2, zip, tgz] = ["a.tar.bz2", "a.zip", "a.tgz"].map((name) =>
      fetchUrl({ url: `https://example.com/${name}`, hash }),
    );
    assert.ok(bz2 && zip && tgz);
    assert.equal(extract({ src: bz2 }).name, "a");
    assert.equal(extract({ src: zip.out }).name, "a");
    assert.equal(extract({ src: tgz }).name, "a.tgz");
    assert.match(fault(() => extract({ src: "/x/a.zip" })).message, /needs a name/);
    const { env } = parsed(extract({ src: zip, stripFirstComponent: false }));
    assert.equal(env.get("stripFirstComponent"), "");
  });
});

test("the path of a derivation is that of what it says", () => {
  const value = derivation({ name: "a", ...sh, env: { x: placeholderOfOut } });
  assert.equal(derivationPath(parsed(value)), value.drvPath.storePath);
});
