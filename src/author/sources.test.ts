/* oxlint-disable typescript/restrict-template-expressions -- what prints into strings is what this is about */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, suite, test } from "node:test";
import { pathToFileURL } from "node:url";
import { temporaryDirectory } from "../util/temp.ts";
import { dumpNar } from "../files/dump.ts";
import { NarReader } from "../format/nar/reader.ts";
import { derivation, path, readJson, readText, sources, storePath, text, tree } from "./api.ts";
import { configure, context } from "./context.ts";
import { Fault } from "./fault.ts";
import { SourceValue, type Source } from "./values.ts";

let folder: Awaited<ReturnType<typeof temporaryDirectory>>;
beforeEach(async () => {
  folder = await temporaryDirectory(realpathSync(tmpdir()), "kiln-sources-");
});
afterEach(() => folder[Symbol.asyncDispose]());

function at(name: string): string {
  return join(folder.path, name);
}

function write(name: string, content = name): void {
  mkdirSync(dirname(at(name)), { recursive: true });
  writeFileSync(at(name), content);
}

function nar(source: Source): Buffer {
  assert.ok(source instanceof SourceValue);
  return Buffer.concat([...(source.item.content?.nar() ?? [])]);
}

/** What is in a source: each path with its text, `*` before programs, `-> ` before the target of a link. */
function contents(source: Source): Record<string, string> {
  const found: Record<string, string> = {};
  const names: string[] = [];
  let prefix = "";
  let file = "";
  const pathOf = (name: string): string => [...names, name].filter(Boolean).join("/");
  const reader = new NarReader({
    directory: (name) => {
      names.push(name);
      found[`${pathOf("")}/`] = "";
    },
    endDirectory: () => void names.pop(),
    file: (name, executable) => {
      file = pathOf(name);
      prefix = executable ? "*" : "";
      found[file] = prefix;
    },
    data: (chunk) => (found[file] += chunk.toString()),
    endFile: () => {},
    symlink: (name, target) => (found[pathOf(name)] = `-> ${target.toString()}`),
  });
  reader.write(nar(source));
  reader.end();
  return found;
}

function fault(make: () => unknown): Fault {
  try {
    make();
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    assert.match(error.at ?? "", /sources\.test\.ts:\d+:\d+$/);
    return error;
  }
  return assert.fail("nothing was thrown");
}

suite("path()", () => {
  test("is what is there: programs, links, empty folders and all", () => {
    write("t/run.sh");
    chmodSync(at("t/run.sh"), 0o744);
    write("t/sub/a");
    mkdirSync(at("t/empty"));
    symlinkSync("sub/a", at("t/link"));
    symlinkSync("/nowhere", at("t/dangling"));
    const source = path(at("t"));
    assert.deepEqual(nar(source), Buffer.concat([...dumpNar(at("t"))]));
    assert.deepEqual(contents(source), {
      "/": "",
      dangling: "-> /nowhere",
      "empty/": "",
      link: "-> sub/a",
      "run.sh": "*t/run.sh",
      "sub/": "",
      "sub/a": "t/sub/a",
    });
  });

  test("is a link when it names one", () => {
    symlinkSync("a", at("link"));
    assert.deepEqual(contents(path(at("link"))), { "": "-> a" });
  });

  test("asks its filter about every entry below the root, in order, but not inside of what it refused", () => {
    for (const name of ["t/b/c/d", "t/a", "t/b/e"]) write(name);
    const asked: string[] = [];
    const source = path(at("t"), {
      filter: ({ path: name, type }) => {
        asked.push(`${type} ${name}`);
        return name !== "b/c";
      },
    });
    assert.deepEqual(asked, [], "nothing is read before it is needed");
    assert.deepEqual(Object.keys(contents(source)), ["/", "a", "b/", "b/e"]);
    assert.deepEqual(asked, ["file a", "directory b", "directory b/c", "file b/e"]);
  });

  test("is called as its last element, or as it is told", () => {
    write("a.txt");
    const named = path(at("a.txt"), { name: "b.txt" });
    assert.equal(path(at("a.txt")).name, "a.txt");
    assert.match(named.storePath, /-b\.txt$/);
    assert.equal(path(pathToFileURL(at("a.txt"))).storePath, path(at("a.txt")).storePath);
  });

  test("does not depend on where it lies, on times, or on modes beyond the executable bit", () => {
    write("one/t/a", "same");
    write("two/t/a", "same");
    chmodSync(at("two/t/a"), 0o600);
    utimesSync(at("two/t/a"), 1, 1);
    assert.equal(path(at("one/t")).storePath, path(at("two/t")).storePath);
  });

  test("wants a name that a store object can have", () => {
    write("a b.txt");
    const { message, hint } = fault(() => path(at("a b.txt")));
    assert.match(message, /its name has " "; allowed are/);
    assert.equal(hint, 'give it one: { name: "…" }');
    assert.equal(path(at("a b.txt"), { name: "a-b.txt" }).name, "a-b.txt");
  });

  test("takes file names that no object could have, inside", () => {
    write("t/a b ~ü\n", "x");
    assert.equal(contents(path(at("t")))["a b ~ü\n"], "x");
  });

  test("names what was probably meant when nothing is there", () => {
    write("src/main.ts");
    const { code, message, hint } = fault(() => path(`${folder.path}/src/mian.ts`));
    assert.equal(code, "file.missing");
    assert.equal(message, `no file ${folder.path}/src/mian.ts`);
    assert.equal(hint, `${folder.path}/src/main.ts`);
    assert.equal(fault(() => path(at("scr/main.ts"))).hint, at("src/main.ts"));
    assert.equal(fault(() => path(at("src/main.ts/x"))).hint, undefined);
  });

  test("says which file it cannot take", () => {
    mkdirSync(at("t"));
    execFileSync("mkfifo", [at("t/pipe")]);
    const source = path(at("t"));
    assert.match(fault(() => source.storePath).message, /t\/pipe is neither a file nor/);
  });

  test("warns once when it takes a repository or secrets along", () => {
    write("t/.env");
    const told: string[] = [];
    const { warn } = context();
    configure({ warn: (line) => told.push(line) });
    void path(at("t")).storePath;
    void path(at("t"), { filter: (entry) => entry.path !== ".env" }).storePath;
    configure({ warn });
    assert.equal(told.length, 1);
    assert.match(told[0] ?? "", /takes \.env along.*sources\(\) leaves such things out/);
  });

  for (const [what, location, message] of [
    ["an empty path", "", /it is no path/],
    ["a number", 3, /it is no path/],
    ["another URL", new URL("https://example.com/x"), /not the URL of a file/],
    ["a URL as text", "file:///x", /a URL as text/],
  ] satisfies [string, unknown, RegExp][]) {
    test(`refuses ${what}`, () => {
      assert.match(fault(() => Reflect.apply(path, undefined, [location])).message, message);
    });
  }
});

suite("sources()", () => {
  test("leaves out .git, node_modules, what git ignores, and empty folders", () => {
    for (const name of [".git/HEAD", "node_modules/x/y", "src/node_modules/z", "dist/a.js"]) {
      write(`t/${name}`);
    }
    for (const name of ["src/a.ts", "src/.hidden", "README"]) write(`t/${name}`);
    write("t/.gitignore", "dist/\n");
    mkdirSync(at("t/empty/er"), { recursive: true });
    assert.deepEqual(Object.keys(contents(sources(at("t")))), [
      "/",
      ".gitignore",
      "README",
      "src/",
      "src/.hidden",
      "src/a.ts",
    ]);
  });

  test("takes what is ignored when told to", () => {
    write("t/dist/a.js");
    write("t/.gitignore", "dist/\n");
    assert.ok("dist/a.js" in contents(sources(at("t"), { gitignore: false })));
  });

  test("includes files by pattern, or by a folder they are in, and excludes after that", () => {
    for (const name of ["src/a.c", "src/a.h", "src/deep/b.h", "lib/x", "lib/y"]) write(`t/${name}`);
    const include = ["**/*.h", "lib"];
    assert.deepEqual(Object.keys(contents(sources(at("t"), { include }))), [
      "/",
      "lib/",
      "lib/x",
      "lib/y",
      "src/",
      "src/a.h",
      "src/deep/",
      "src/deep/b.h",
    ]);
    const exclude = ["src/deep/**", "lib/x"];
    assert.deepEqual(Object.keys(contents(sources(at("t"), { include, exclude }))), [
      "/",
      "lib/",
      "lib/y",
      "src/",
      "src/a.h",
    ]);
  });

  test("is no empty folder when include names nothing that is there", () => {
    write("t/src/a.c");
    const { message, hint } = fault(() => sources(at("t"), { include: ["*.c"] }).storePath);
    assert.match(message, /nothing there is what include names: "\*\.c"$/);
    assert.match(hint ?? "", /"\*\*\/\*\.c"/);
  });

  test("stay the same when only something that is left out changes", () => {
    write("t/a");
    const before = sources(at("t")).storePath;
    write("t/node_modules/x");
    assert.equal(sources(at("t")).storePath, before);
  });

  for (const [what, options, message] of [
    ["a pattern that begins with !", { include: ["!a"] }, /begins with "!"/],
    ["a pattern that leads out", { exclude: ["../a"] }, /does not begin with a name/],
    ["an absolute pattern", { exclude: ["/a"] }, /does not begin with a name/],
    ["a broken pattern", { include: ["[a"] }, /a \[ is not closed/],
    ["patterns that are no list", { include: "*.ts" }, /include is "\*\.ts", not a list/],
    ["misspelt options", { includes: [] }, /no option "includes"/],
  ] satisfies [string, object, RegExp][]) {
    test(`refuse ${what}`, () => {
      const told = fault(() => Reflect.apply(sources, undefined, [folder.path, options]));
      assert.match(told.message, message);
    });
  }

  test("refuse a single file", () => {
    write("a");
    assert.match(fault(() => sources(at("a"))).message, /it is no folder/);
  });
});

suite("text()", () => {
  test("refers to the sources and texts that are in it", () => {
    const inner = text("inner", "x");
    const outer = text("outer", `see ${inner}\n`);
    assert.ok(outer instanceof SourceValue);
    assert.deepEqual(
      outer.item.references.map((item) => item.path),
      [inner.storePath],
    );
    assert.deepEqual(contents(outer), { "": `see ${inner.storePath}\n` });
  });

  test("cannot refer to outputs", () => {
    const output = derivation({ name: "a", builder: "/bin/sh" });
    const { message, hint } = fault(() => text("x", `${output}`));
    assert.match(message, /text\("x"\): it refers to an output of derivation "a"/);
    assert.match(hint ?? "", /env or attrs/);
  });
});

suite("tree()", () => {
  test("puts texts, files and trees together", () => {
    write("lib/a", "A");
    write("run.sh", "#!");
    chmodSync(at("run.sh"), 0o755);
    const source = tree("app", {
      "src/z.ts": "z",
      "src/lib": path(at("lib")),
      "bin/run": path(at("run.sh")),
      "bin/text": text("t", "T"),
      "b.txt": "b",
    });
    assert.deepEqual(contents(source), {
      "/": "",
      "b.txt": "b",
      "bin/": "",
      "bin/run": "*#!",
      "bin/text": "T",
      "src/": "",
      "src/lib/": "",
      "src/lib/a": "A",
      "src/z.ts": "z",
    });
  });

  test("is the object that the same files on disk are", () => {
    write("t/a/b", "1");
    write("t/c", "2");
    const made = tree("t", { "a/b": "1", c: "2" });
    assert.equal(made.storePath, path(at("t")).storePath);
  });

  test("refers to what its texts and the copied texts refer to", () => {
    const inner = text("inner", "x");
    const source = tree("t", { a: `${inner}`, b: text("t2", `${inner}/${text("other", "y")}`) });
    assert.ok(source instanceof SourceValue);
    assert.deepEqual(source.item.references.map((item) => item.label).toSorted(), [
      'text("inner")',
      'text("other")',
    ]);
  });

  for (const [what, files, message] of [
    ["a path that leads out", { "../a": "" }, /"\.\.\/a" is no relative path/],
    ["an absolute path", { "/a": "" }, /"\/a" is no relative path/],
    ["a file in a file", { a: "", "a/b": "" }, /"a\/b" is inside of a file/],
    ["a folder over a file", { "a/b": "", a: "" }, /"a" is there twice/],
    ["a number", { a: 3 }, /"a" is 3/],
  ] satisfies [string, object, RegExp][]) {
    test(`refuses ${what}`, () => {
      assert.match(fault(() => Reflect.apply(tree, undefined, ["t", files])).message, message);
    });
  }
});

test("storePath() names an object, not something inside of one or elsewhere", () => {
  const name = "/opt/zb/store/p09vsbdv8v3g0plyglld6w6b05j1svi9-hello.txt";
  assert.equal(storePath(name).storePath, name);
  assert.equal(storePath(name).name, "hello.txt");
  assert.equal(fault(() => storePath(`${name}/a`)).hint, `storePath("${name}") + "/a"`);
  assert.match(fault(() => storePath("/bin/sh")).message, /not inside \/opt\/zb\/store/);
});

suite("reading files", () => {
  test("gives text and JSON, and notes the file", () => {
    write("a.json", '{"a":1}');
    assert.equal(readText(at("a.json")), '{"a":1}');
    assert.deepEqual(readJson(at("a.json")), { a: 1 });
    assert.ok(context().filesRead.has(at("a.json")));
  });

  test("keeps bytes that are no UTF-8", () => {
    writeFileSync(at("a"), Buffer.from([0x61, 0xff]));
    assert.ok(nar(text("a", readText(at("a")))).includes(Buffer.from([0x61, 0xff])));
  });

  test("tells what is wrong with a file", () => {
    write("a.json", "{");
    assert.match(fault(() => readJson(at("a.json"))).message, /a\.json"\): .*JSON/);
    assert.match(fault(() => readText(folder.path)).message, /it is a folder/);
  });
});

/** The store path of the tree `t` with a stat cache, so many milliseconds from now. */
function pathWithCache(later = 0): string {
  const { clock, cacheDirectory } = context();
  const now = (): number => clock.now() + later;
  configure({ cacheDirectory: at("cache"), clock: { ...clock, now } });
  try {
    return path(at("t")).storePath;
  } finally {
    configure({ cacheDirectory, clock });
  }
}

/** Changes what the cache says, so that believing it can be seen. */
function spoil(): void {
  const [stamp = ""] = readdirSync(at("cache/stamps"));
  const file = at(`cache/stamps/${stamp}`);
  writeFileSync(file, readFileSync(file, "utf8").replace(/sha256-.{8}/, "sha256-AAAAAAAA"));
}

suite("the stat cache", () => {
  test("spares reading a tree that looks as it did", () => {
    write("t/a", "1");
    const right = path(at("t")).storePath;
    assert.equal(pathWithCache(5000), right);
    spoil();
    assert.notEqual(pathWithCache(), right);
  });

  test("is not believed when a file changed", () => {
    write("t/a", "1");
    pathWithCache(5000);
    spoil();
    write("t/a", "2");
    assert.equal(pathWithCache(), path(at("t")).storePath);
  });

  test("does not learn what has changed just now, as it may change again unseen", () => {
    write("t/a", "1");
    pathWithCache(1000);
    assert.equal(existsSync(at("cache/stamps")), false);
  });

  test("is not missed when it cannot be written", () => {
    write("t/a", "1");
    write("cache", "a file");
    assert.equal(pathWithCache(5000), path(at("t")).storePath);
  });
});
