import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { ByteReader } from "../util/byte-reader.ts";
import { hasCode } from "../util/kiln-error.ts";
import { readExport, type ExportTrailer } from "../format/export-stream.ts";
import { NarReader } from "../format/nar/reader.ts";
import { defaultStoreDirectory, parseStoreDirectory } from "../format/store-path.ts";
import { evaluate, type Evaluation, findBuildFile } from "./evaluate.ts";
import { EvaluationError } from "./evaluation-error.ts";
import { project, type Project } from "./project.test.support.ts";

const prelude = 'import { derivation, env, path, storePath, text } from "kiln-store";\n';
const a = 'derivation({ name: "a", builder: "/bin/sh" })';

function ignore(): void {}

/** The trailers of the objects in a stream, and its size. */
async function received(chunks: AsyncIterable<Buffer>): Promise<ExportTrailer[]> {
  const trailers: ExportTrailer[] = [];
  const sink = {
    directory: ignore,
    endDirectory: ignore,
    file: ignore,
    data: ignore,
    endFile: ignore,
    symlink: ignore,
  };
  let reader = new NarReader(sink);
  await readExport(new ByteReader(chunks), {
    write: (chunk) => reader.write(chunk),
    get finished() {
      return reader.finished;
    },
    receive: async (trailer) => {
      trailers.push(trailer);
      reader = new NarReader(sink);
    },
  });
  return trailers;
}

function pathsOf(evaluation: Evaluation): Set<Evaluation["objects"][number]["path"]> {
  return new Set(evaluation.objects.map(({ path }) => path));
}

suite("an evaluation", () => {
  const build = `${prelude}
    import { name } from "./lib.ts";
    const input = path("./input.txt");
    const first = derivation({ name, builder: "/bin/sh", env: { input } });
    const conf = text("conf", \`\${input}\`);
    export default derivation({ name: "second", builder: "/bin/sh", env: { first, conf } });
    export const other = ${a};
  `;
  const files = { "lib.ts": 'export const name: string = "first";', "input.txt": "hello\n" };

  test("tells what is wanted, its closure in order, and what was read", async () => {
    await using folder = await project(build, files);
    await using evaluation = await folder.evaluate();
    assert.deepEqual(
      evaluation.wanted.map(({ name, target }) => ({ name, target })),
      [{ name: "second", target: "" }],
    );
    const names = evaluation.objects.map(({ path }) => path.slice(path.indexOf("-") + 1));
    assert.deepEqual(names.toSorted(), ["conf", "first.drv", "input.txt", "second.drv"]);
    assert.equal(names[0], "input.txt");
    assert.equal(names[3], "second.drv");
    assert.equal(evaluation.objects[3]?.path, evaluation.wanted[0]?.drvPath);
    const before = new Set<string>();
    for (const { path, references } of evaluation.objects) {
      assert.ok(references.every((reference) => before.has(reference)));
      before.add(path);
    }
    const inProject = (name: string): string => join(folder.path, name);
    assert.deepEqual(evaluation.modules, [inProject("kiln.build.ts"), inProject("lib.ts")]);
    assert.deepEqual(evaluation.filesRead, [inProject("input.txt")]);
    assert.deepEqual(evaluation.targets(), [
      { name: "", kind: "derivation" },
      { name: "other", kind: "derivation" },
    ]);
  });

  test("sends what is missing, references first, and no more", async () => {
    await using folder = await project(build, files);
    await using evaluation = await folder.evaluate();
    const trailers = await received(evaluation.stream(pathsOf(evaluation)));
    assert.deepEqual(
      trailers.map(({ storePath, references }) => ({ storePath, references })),
      evaluation.objects.map(({ path, references }) => ({
        storePath: path,
        references: references.toSorted(),
      })),
    );
    assert.ok(trailers.every(({ ca }) => ca !== undefined));

    await using again = await folder.evaluate();
    const some = new Set(again.objects.slice(1, 2).map(({ path }) => path));
    const [one, ...more] = await received(again.stream(some));
    assert.ok(one && more.length === 0);
    assert.deepEqual([...some], [one.storePath]);
  });

  test("sends an empty stream when nothing is missing", async () => {
    await using folder = await project(build, files);
    await using evaluation = await folder.evaluate();
    assert.deepEqual(await received(evaluation.stream(new Set())), []);
    assert.throws(() => evaluation.stream(new Set()), /sent once/);
  });

  test("of no target gives the listing alone", async () => {
    await using folder = await project(build, files);
    await using evaluation = await folder.evaluate({ targets: [] });
    assert.deepEqual(evaluation.wanted, []);
    assert.deepEqual(evaluation.objects, []);
    assert.equal(evaluation.targets().length, 2);
  });

  test("is the same in another folder, and for another store directory another one", async () => {
    await using one = await project(build, files);
    await using two = await project(build, files);
    await using first = await one.evaluate();
    await using second = await two.evaluate();
    assert.deepEqual(second.objects, first.objects);
    const storeDirectory = parseStoreDirectory("/somewhere/else");
    await using third = await two.evaluate({ storeDirectory });
    assert.ok(third.wanted[0]?.drvPath.startsWith("/somewhere/else/"));
  });

  test("notices a source that changed since it was hashed", async () => {
    await using folder = await project(build, files);
    await using evaluation = await folder.evaluate();
    writeFileSync(join(folder.path, "input.txt"), "HELLO\n");
    await assert.rejects(received(evaluation.stream(pathsOf(evaluation))), (error) => {
      assert.ok(error instanceof EvaluationError);
      assert.equal(error.code, "source.changed");
      assert.equal(error.message, 'path("./input.txt") changed while it was read; run again');
      assert.match(error.at ?? "", /kiln\.build\.ts:4:19$/);
      return true;
    });
  });

  test("needs the objects that storePath() names to be in the store", async () => {
    const stored = "/opt/zb/store/p09vsbdv8v3g0plyglld6w6b05j1svi9-hello.txt";
    await using folder = await project(`${prelude}
      const stored = storePath("${stored}");
      export default derivation({ name: "a", builder: "/bin/sh", env: { stored } });`);
    await using evaluation = await folder.evaluate();
    assert.equal(evaluation.objects[0]?.path, stored);
    await assert.rejects(
      received(evaluation.stream(pathsOf(evaluation))),
      (error) => hasCode(error, "path.missing") && /the store does not have it/.test(error.message),
    );
  });

  test("ends with its signal, also in an endless loop", async () => {
    await using folder = await project("for (;;);");
    const stop = new AbortController();
    const started = folder.evaluate({ signal: stop.signal });
    stop.abort();
    await assert.rejects(started, { name: "AbortError" });
  });

  test("leaves no process behind when it is disposed of, whatever the build file left running", async () => {
    await using folder = await project(`${prelude}
      setInterval(() => {}, 1000);
      export default derivation({ name: "pid", builder: "/bin/sh", env: { pid: process.pid } });
    `);
    const evaluation = await folder.evaluate();
    const [drv] = evaluation.objects;
    assert.ok(drv);
    await evaluation[Symbol.asyncDispose]();
    const running = spawnSync("ps", ["-eo", "args"], { encoding: "utf8" }).stdout;
    assert.ok(!running.includes(folder.path));
  });

  test("reads only the variables it is allowed to", async () => {
    process.env["KILN_TEST_SEEN"] = "seen";
    process.env["KILN_TEST_HIDDEN"] = "hidden";
    await using folder = await project(`${prelude}
      const given = [env("KILN_TEST_SEEN"), env("KILN_TEST_HIDDEN"), process.env.KILN_TEST_SEEN];
      export default derivation({ name: given.map(String).join("-"), builder: "/bin/sh" });`);
    await using one = await folder.evaluate({ allowEnv: ["KILN_TEST_SEEN", "KILN_TEST_ABSENT"] });
    assert.equal(one.wanted[0]?.name, "seen-undefined-undefined");
    await using all = await folder.evaluate({ allowEnv: "all" });
    assert.equal(all.wanted[0]?.name, "seen-hidden-undefined");
  });

  test("gives the build file nothing to read, and keeps what it prints off the results", async () => {
    await using folder = await project(`${prelude}
      import { readFileSync, writeSync } from "node:fs";
      const input = readFileSync(0, "utf8");
      writeSync(1, input);
      export default derivation({ name: \`read\${input.length}\`, builder: "/bin/sh" });`);
    await using evaluation = await folder.evaluate();
    assert.equal(evaluation.wanted[0]?.name, "read0");
  });

  test("builds for the system it is told", async () => {
    await using folder = await project(`import { currentSystem, derivation } from "kiln-store";
      export default derivation({ name: currentSystem, builder: "/bin/sh" });`);
    await using evaluation = await folder.evaluate({ system: "riscv64-linux" });
    assert.equal(evaluation.wanted[0]?.name, "riscv64-linux");
  });

  test("keeps a cache that only its user can enter", async () => {
    await using folder = await project(build, files);
    await using _evaluation = await folder.evaluate();
    const projects = join(folder.path, "..", "cache", "projects");
    const [own = "", ...others] = readdirSync(projects);
    assert.deepEqual(others, []);
    assert.equal(statSync(join(projects, own)).mode & 0o777, 0o700);
    assert.ok(existsSync(join(projects, own, "compiled")));
  });

  test("does without a cache that it cannot have", async () => {
    await using folder = await project(build, files);
    await using evaluation = await folder.evaluate({ cacheDirectory: join(folder.path, "lib.ts") });
    assert.equal(evaluation.wanted[0]?.name, "second");
  });
});

test("a build file that may not be read is told as such", async () => {
  await using folder = await project("export {};");
  const file = join(folder.path, "kiln.build.ts");
  chmodSync(file, 0o000);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    assert.throws(
      () => findBuildFile(file),
      (error) =>
        hasCode(error, "file.denied") && /^cannot read .*kiln\.build\.ts/.test(error.message),
    );
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
});

suite("build files and their imports", () => {
  const uses = `import { x } from "./lib.ts"; ${prelude} export default ${a}; void x;`;
  for (const [what, build, files] of [
    ["package.json says nothing of modules", uses, { "package.json": "{}" }],
    ["package.json says CommonJS", uses, { "package.json": '{"type":"commonjs"}' }],
    ["package.json says modules", uses, { "package.json": '{"type":"module"}' }],
    ["there is no package.json", uses, {}],
  ] satisfies [string, string, Record<string, string>][]) {
    test(`are TypeScript modules when ${what}`, async () => {
      await using folder = await project(build, {
        "lib.ts": "export const x: number = 1;",
        ...files,
      });
      await using evaluation = await folder.evaluate();
      assert.equal(evaluation.wanted[0]?.name, "a");
    });
  }

  test("may be .mts, .js, .mjs, or anything that is named", async () => {
    for (const name of ["kiln.build.mts", "kiln.build.js", "kiln.build.mjs", "other.ts"]) {
      const files = { [name]: `${prelude} export default ${a};`, "package.json": "{}" };
      await using folder = await project("", files);
      const file = name === "other.ts" ? join(folder.path, name) : folder.path;
      await using evaluation = await folder.evaluate({ file });
      assert.equal(evaluation.wanted[0]?.name, "a");
    }
  });

  test("may be packages that publish TypeScript, which get the same Kiln", async () => {
    const lib = `${prelude} export function make(name: string) { return derivation({ name, builder: "/bin/sh" }); }`;
    await using folder = await project(
      `import { make } from "rules"; import { derivation } from "kiln-store";
       export default derivation({ name: "b", builder: "/bin/sh", env: { a: make("a") } });`,
      {
        "node_modules/rules/package.json":
          '{"name":"rules","type":"module","exports":"./index.ts"}',
        "node_modules/rules/index.ts": lib,
        "node_modules/kiln-store/package.json": '{"name":"kiln-store","version":"0.0.1"}',
      },
    );
    await using evaluation = await folder.evaluate();
    assert.equal(evaluation.objects.length, 2);
  });

  test("are those of the folder that is named, not of one above", async () => {
    await using folder = await project(`export default 1;`, { "inner/x": "" });
    await assert.rejects(
      evaluate({
        file: join(folder.path, "inner"),
        targets: [""],
        storeDirectory: defaultStoreDirectory,
        args: {},
        allowEnv: [],
        cacheDirectory: join(folder.path, "cache"),
      }),
      (error) => hasCode(error, "file.missing") && /no build file in .*inner/.test(error.message),
    );
  });
});

suite("what the child process says is not believed:", () => {
  const plan = { type: "plan", wanted: [], targets: [], objects: [], modules: [], filesRead: [] };
  const path = "/opt/zb/store/p09vsbdv8v3g0plyglld6w6b05j1svi9-hello.txt";
  for (const [what, said, message] of [
    ["no JSON", "hello", /told no JSON/],
    ["JSON that is nothing", "[1]", /told neither a plan nor a failure/],
    ["a plan without lists", JSON.stringify({ type: "plan" }), /neither a plan nor a failure/],
    [
      "an object outside of the store directory",
      JSON.stringify({ ...plan, objects: [{ path: "/bin/sh", references: [] }] }),
      /not inside \/opt\/zb\/store/,
    ],
    [
      "something inside of an object",
      JSON.stringify({ ...plan, objects: [{ path: `${path}/x`, references: [] }] }),
      /told a path inside of an object/,
    ],
    [
      "a reference to what comes later",
      JSON.stringify({ ...plan, objects: [{ path, references: [0] }] }),
      /told a reference to an object that does not come before/,
    ],
    [
      "a wanted derivation that is not planned",
      JSON.stringify({ ...plan, wanted: [{ target: "", name: "x", drvPath: path }] }),
      /told a wanted derivation that is not among the objects/,
    ],
  ] satisfies [string, string, RegExp][]) {
    test(what, async () => {
      await using folder = await project(
        `import { writeSync } from "node:fs"; writeSync(3, ${JSON.stringify(`${said}\n`)});`,
      );
      await assert.rejects(folder.evaluate(), message);
    });
  }
});

interface FaultCase {
  readonly build: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly options?: Parameters<Project["failure"]>[0];
  readonly told: string;
  readonly at?: string;
  readonly hint?: string;
  /** What the caret points at. */
  readonly caret?: string;
  readonly frames?: readonly string[];
}

const offline = "a build file may not use the network [author.denied]";
const offlineHint =
  "fetchUrl() fetches what has this hash, when it is built; path() takes what is here";

const faults: Readonly<Record<string, FaultCase>> = {
  "an option with a bad value, at the line that wrote it": {
    build: `${prelude}\nexport default derivation({ name: "app", builder: "/bin/sh",\n  env: { LEVEL: 0.5 } });`,
    told: 'derivation "app": env.LEVEL is 0.5; write numbers with a fraction as strings [author.option]',
    at: "kiln.build.ts:3:16",
    caret: "derivation",
  },
  "an option that there is not, where it is written": {
    build: `${prelude}export default derivation({ name: "system: a", builder: ")", env: {},\n  sistem: "x" });`,
    told: 'derivation "system: a": there is no option "sistem" [author.option]',
    at: "kiln.build.ts:3:3",
    hint: "write system",
    caret: "sistem",
    frames: ["kiln.build.ts:2:16"],
  },
  "an option that comes from elsewhere, at the call": {
    build: `${prelude}const more = { sistem: "x" };\nexport default derivation({ name: "a", builder: "/bin/sh", ...more });`,
    told: 'derivation "a": there is no option "sistem" [author.option]',
    at: "kiln.build.ts:3:16",
    hint: "write system",
    caret: "derivation",
  },
  "a variable that is missed because there are none": {
    build: "export default process.env.HOME.slice(1);",
    told: "TypeError: Cannot read properties of undefined (reading 'slice') [author.threw]",
    at: "kiln.build.ts:1:33",
    hint: 'process.env is empty here: env("HOME") reads what --allow-env HOME lets it',
  },
  "a source as a target": {
    build: `${prelude}export default text("a", "b");`,
    told: "the default export in kiln.build.ts is no target but a source, which is there already: nothing builds it [target.kind]",
    hint: "it has no targets: export a derivation",
  },
  "a file that is not there, and the one that was probably meant": {
    build: `${prelude}export default derivation({ name: "a", builder: "/bin/sh", env: { src: path("./src/mian.ts") } });`,
    files: { "src/main.ts": "" },
    told: "no file ./src/mian.ts [file.missing]",
    at: "kiln.build.ts:2:72",
    hint: "./src/main.ts",
    caret: "path",
  },
  "a target that is not there": {
    build: `${prelude}export const app = ${a}; export const docs = ${a};`,
    options: { targets: ["ap"] },
    told: 'no target "ap" in kiln.build.ts [target.unknown]',
    hint: ".#app (others: docs)",
  },
  "a target that is none": {
    build: `${prelude}export const app = ${a}; export const f = () => 1;`,
    options: { targets: ["f"] },
    told: '"f" in kiln.build.ts is no target but a function; wrap it in target() [target.kind]',
    hint: "the only target is .#app",
  },
  "a syntax error in TypeScript": {
    build: `export const a = 1;\nexport default f({\n  args: ["-c", join(a, b],\n});`,
    told: "expected ',', got ']' [author.syntax]",
    at: "kiln.build.ts:3:25",
    caret: "],",
  },
  "a syntax error in JavaScript": {
    build: 'import "./lib.mjs";',
    files: { "lib.mjs": "const a = 1;\nexport default foo(a, [b);\n" },
    told: "unexpected token ')' [author.syntax]",
    at: "lib.mjs:2:25",
    caret: ");",
  },
  "a name that is declared twice, which only V8 sees": {
    build: `${prelude}const b = 1;\nexport const b = 2;`,
    told: "identifier 'b' has already been declared [author.syntax]",
    at: "kiln.build.ts:3:14",
    caret: "b = 2",
  },
  "an enum": {
    build: `${prelude}enum A { B }\nexport default ${a};`,
    told: "TypeScript enum is not supported in strip-only mode [author.syntax]",
    at: "kiln.build.ts:2:1",
    hint: "types are only stripped: no enum, namespace, decorator, JSX",
    caret: "enum",
  },
  "a namespace": {
    build: `namespace A { export const b = 1; }`,
    told: "TypeScript namespace declaration is not supported in strip-only mode [author.syntax]",
    at: "kiln.build.ts:1:1",
    hint: "types are only stripped: no enum, namespace, decorator, JSX",
  },
  JSX: {
    build: "export default <div>hi</div>;",
    told: "expression expected [author.syntax]",
    at: "kiln.build.ts:1:24",
    hint: "types are only stripped: no enum, namespace, decorator, JSX",
  },
  "a decorator": {
    build: "const d = (x: unknown) => x;\n@d class A {}\nexport default A;",
    told: "invalid or unexpected token [author.syntax]",
    at: "kiln.build.ts:2:1",
    hint: "types are only stripped: no enum, namespace, decorator, JSX",
    caret: "@d",
  },
  "a top-level await that never ends, in the module that waits": {
    build: `import "./lib.ts";\nexport default 1;`,
    files: { "lib.ts": "export {};\nawait new Promise(() => {});" },
    told: "a top-level await in lib.ts never finishes [author.unfinished]",
    at: "lib.ts:2:1",
    caret: "await",
  },
  "an import cycle": {
    build: 'import { b } from "./b.ts";\nexport const c = 1 + b;',
    files: { "b.ts": 'import { c } from "./kiln.build.ts";\nexport const b = c + 1;' },
    told: "ReferenceError: Cannot access 'c' before initialization [author.threw]",
    at: "b.ts:2:18",
    hint: "move c above this; if it needs this itself, that is a circle, which no build can have",
    caret: "c + 1",
  },
  "an import without its ending": {
    build: 'import { x } from "./lib";',
    files: { "lib.ts": "export const x = 1;" },
    told: 'there is no module "./lib" [author.import]',
    at: "kiln.build.ts:1:19",
    hint: "write ./lib.ts",
    caret: '"./lib"',
  },
  "an import with the ending of what TypeScript would have made": {
    build: 'import { x } from "./lib.js";',
    files: { "lib.ts": "export const x = 1;" },
    told: 'there is no module "./lib.js" [author.import]',
    at: "kiln.build.ts:1:19",
    hint: "write ./lib.ts",
  },
  "a package that is not installed": {
    build: 'import { x } from "leftpad";',
    told: 'there is no module "leftpad" [author.import]',
    at: "kiln.build.ts:1:19",
    hint: "npm install leftpad",
  },
  "a part of a package that is not installed": {
    build: 'import { x } from "@scope/leftpad/both";',
    told: 'there is no module "@scope/leftpad/both" [author.import]',
    at: "kiln.build.ts:1:19",
    hint: "npm install @scope/leftpad",
  },
  "Kiln by the name of its command": {
    build: 'import { derivation } from "kiln";',
    told: 'there is no module "kiln" [author.import]',
    at: "kiln.build.ts:1:28",
    hint: 'write "kiln-store"',
  },
  "what Kiln does not have beside its build files": {
    build: 'import { derivation } from "kiln-store/author";',
    told: 'there is no module "kiln-store/author" [author.import]',
    at: "kiln.build.ts:1:28",
    hint: 'write "kiln-store"',
  },
  "a name that Kiln does not export": {
    build: 'import { dervation } from "kiln-store";',
    told: '"kiln-store" has no export "dervation" [author.import]',
    at: "kiln.build.ts:1:10",
    hint: "write derivation",
    caret: "dervation",
  },
  "the time": {
    build: `${prelude}export default derivation({ name: "x", builder: "/bin/sh", env: { now: Date.now() } });`,
    told: "Date.now() gives something else at every run, and so another build [author.impure]",
    at: "kiln.build.ts:2:77",
    hint: "let a parameter say it (--arg) or a variable (--allow-env)",
  },
  "a new date": {
    build: "new Date();",
    told: "new Date() gives something else at every run, and so another build [author.impure]",
    at: "kiln.build.ts:1:1",
    hint: "let a parameter say it (--arg) or a variable (--allow-env)",
  },
  chance: {
    build: "Math.random();",
    told: "Math.random() gives something else at every run, and so another build [author.impure]",
    at: "kiln.build.ts:1:6",
    hint: "let a parameter say it (--arg) or a variable (--allow-env)",
  },
  "writing a file": {
    build: 'import { writeFileSync } from "node:fs";\nwriteFileSync("/nowhere/x", "1");',
    told: "a build file may not write /nowhere/x [author.denied]",
    at: "kiln.build.ts:2:1",
    hint: "a build file only describes; let a derivation do it",
    caret: "writeFileSync",
  },
  "starting a program": {
    build: 'import { execSync } from "node:child_process";\nexecSync("ls");',
    told: "a build file may not start programs [author.denied]",
    at: "kiln.build.ts:2:1",
    hint: "a build file only describes; let a derivation do it",
  },
  "fetching, where it was asked for": {
    build: 'const page = await fetch("https://localhost/");\nexport default await page.text();',
    told: offline,
    at: "kiln.build.ts:1:20",
    hint: offlineHint,
    caret: "fetch",
  },
  "fetching by a package that asks for its module in the old way": {
    build: 'import { page } from "pkg";\nexport default page();',
    files: {
      "node_modules/pkg/package.json": '{"name":"pkg","main":"./i.js"}',
      "node_modules/pkg/i.js": `const http = require("http");
        exports.page = () => http.get("http://localhost/");`,
    },
    told: offline,
    at: "node_modules/pkg/i.js:2:35",
    hint: offlineHint,
    frames: ["kiln.build.ts:2:16"],
  },
  "an error of its own, with the way that led there": {
    build: `function helper() {\n  throw new Error("no way");\n}\nexport default helper();`,
    told: "no way [author.threw]",
    at: "kiln.build.ts:2:9",
    caret: "new Error",
    frames: ["kiln.build.ts:4:16"],
  },
  "an error of a package, with the way that led there": {
    build: 'import { f } from "pkg";\nexport default f();',
    files: {
      "node_modules/pkg/package.json": '{"name":"pkg","type":"module","exports":"./i.ts"}',
      "node_modules/pkg/i.ts": 'export function f(): never {\n  throw new RangeError("deep");\n}',
    },
    told: "RangeError: deep [author.threw]",
    at: "node_modules/pkg/i.ts:2:9",
    frames: ["kiln.build.ts:2:16"],
  },
  "something thrown that is no error": {
    build: 'throw "hello";',
    told: 'the build file threw "hello" [author.threw]',
  },
  "a promise that nobody caught": {
    build:
      'Promise.reject(new Error("lost"));\nawait new Promise((done) => setTimeout(done, 1000));',
    told: "lost [author.threw]",
    at: "kiln.build.ts:1:16",
  },
  "an error at run time that is about syntax": {
    build: 'export default JSON.parse("{");',
    told: "SyntaxError: Expected property name or '}' in JSON at position 1 (line 1 column 2) [author.threw]",
    at: "kiln.build.ts:1:21",
  },
  "the end of the process": {
    build: "process.exit(0);",
    told: "the build file ended the process [author.exit]",
    at: "kiln.build.ts:1:9",
    caret: "exit",
  },
  "a source that cannot be read, where it was named": {
    build: `${prelude}const all = path("./t");\n\nexport default derivation({ name: "a", builder: "/bin/sh", env: { all } });`,
    files: { "t/x": "", "t/loop": "-> loop" },
    options: { targets: ["nothing"] },
    told: 'no target "nothing" in kiln.build.ts [target.unknown]',
    hint: "it has no targets: export a derivation",
  },
};

suite("a build file reaches nobody", () => {
  test("by any module or global of Node's", async () => {
    await using folder = await project(`${prelude}
      import dgram from "node:dgram";
      import dns, { lookup } from "node:dns";
      import { resolve4 } from "node:dns/promises";
      import http, { request } from "node:http";
      import { connect as connect2 } from "node:http2";
      import https, { get } from "node:https";
      import net, { connect, createConnection, Socket } from "net";
      import tls from "node:tls";
      const ways = {
        WebSocket: () => new WebSocket("ws://127.0.0.1:9"),
        request: () => request("http://127.0.0.1:9"),
        ClientRequest: () => new http.ClientRequest({ host: "127.0.0.1", port: 9 }),
        get: () => get("https://127.0.0.1:9"),
        https: () => https.request("https://127.0.0.1:9"),
        connect: () => connect(9),
        createConnection: () => createConnection({ path: "/nowhere" }),
        Socket: () => new Socket().connect(9),
        listen: () => net.createServer().listen(0),
        serve: () => http.createServer().listen(0),
        tls: () => tls.connect(9),
        http2: () => connect2("http://127.0.0.1:9"),
        dgram: () => dgram.createSocket("udp4"),
        lookup: () => lookup("localhost", () => {}),
        promise: () => dns.promises.lookup("localhost"),
        resolve4: () => resolve4("localhost"),
        Resolver: () => new dns.Resolver(),
        builtin: () => process.getBuiltinModule("node:http").get("http://127.0.0.1:9"),
      };
      const got = (call) => {
        try { call(); return "done"; } catch (error) { return error.code; }
      };
      const open = Object.keys(ways).filter((name) => got(ways[name]) !== "author.denied");
      const data = await (await fetch("data:,hello")).text();
      export default derivation({ name: ["open", ...open, data].join("-"), builder: "/bin/sh" });`);
    await using evaluation = await folder.evaluate();
    assert.equal(evaluation.wanted[0]?.name, "open-hello");
  });
});

suite("a fault in a build file is told without a stack:", () => {
  for (const [what, { build, files, options, told, at, hint, caret, frames }] of Object.entries(
    faults,
  )) {
    test(what, async () => {
      await using folder = await project(build, files);
      const failure = await folder.failure(options);
      assert.equal(`${failure.message} [${failure.code}]`, told);
      assert.equal(failure.at, at);
      // The folder is named as it was given.
      assert.equal(failure.hint?.replace(/\/\S*(?=#)/, "."), hint);
      assert.deepEqual(failure.frames, frames ?? []);
      const [line = "", pointer = ""] = failure.excerpt;
      assert.equal(failure.excerpt.length, at === undefined ? 0 : 2);
      if (caret !== undefined) assert.ok(line.slice(pointer.indexOf("^")).startsWith(caret), line);
    });
  }
});
