// Mistakes that people make: one clear message each, the right exit code, nothing on stdout, no stack, nothing left behind.
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Place, shellTargets } from "./support/cli.ts";

interface Mistake {
  readonly name: string;
  readonly args: readonly string[];
  readonly code: string;
  /** What else the message must say. */
  readonly says?: RegExp;
  readonly files?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Objects may have been sent before it was found out. */
  readonly sends?: true;
}

const good = shellTargets({ default: "echo hi > $out", app: "echo app > $out" });
const missingPath = `/nowhere/store/${"0".repeat(32)}-x`;

const mistakes: Mistake[] = [
  { name: "an unknown command", args: ["biuld"], code: "usage.command", says: /try {3}kiln build/ },
  {
    name: "an unknown command of which help is wanted",
    args: ["store", "lst", "--help"],
    code: "usage.command",
    says: /"lst" for "kiln store".*\n {2}try {3}kiln store list\n/,
  },
  {
    name: "-v for the version",
    args: ["-v"],
    code: "usage.flag",
    says: /unknown flag -v .*\n {2}try {3}kiln --version\n/,
  },
  {
    name: "an unknown flag",
    args: ["build", "--keep-faild"],
    code: "usage.flag",
    says: /--keep-failed/,
  },
  {
    name: "a word that is none of those that may stand there",
    args: ["completion", "tcsh"],
    code: "usage.value",
    says: /error: shell: "tcsh" is none of bash, zsh, fish \[/,
  },
  {
    name: "a flag without its value",
    args: ["build", "-o"],
    code: "usage.value",
    says: /--out-link/,
  },
  {
    name: "a bad value",
    args: ["serve", "--build-log-retention=7x"],
    code: "usage.value",
    says: /flag --build-log-retention: .*"x".*\n {2}try .* 5m, 1h30m/,
  },
  {
    name: "a size that is none",
    args: ["build", "--max-memory=lots"],
    code: "usage.value",
    says: /flag --max-memory: "lots" is no size.*\n {2}try .* 10GiB/,
  },
  {
    name: "a flag that is like no other",
    args: ["store", "list", "--zzzzzz"],
    code: "usage.flag",
    says: /try {3}kiln help store list\n/,
  },
  {
    name: "a missing operand",
    args: ["store", "object", "delete"],
    code: "usage.argument",
    says: /try {3}kiln help store object delete\n/,
  },
  {
    name: "a store directory that is none",
    args: ["--store=x", "eval"],
    code: "usage.value",
    says: /--store.*not absolute/,
  },
  {
    name: "an empty name for links",
    args: ["build", "--out-link="],
    code: "usage.value",
    says: /--out-link is empty/,
  },
  {
    name: "a number in letters",
    args: ["build", "--jobs=zero"],
    code: "usage.value",
    says: /"zero" is no whole number.*\n {2}try {3}digits/,
  },
  {
    name: "a configuration file that is not there",
    args: ["--config", "nope.json", "ps"],
    code: "config.missing",
    says: /nope\.json.*\n {2}try {3}name one/,
  },
  {
    name: "a derivation of another store",
    args: ["build", `/elsewhere/${"0".repeat(32)}-x.drv`],
    code: "file.missing",
    says: /no file \/elsewhere\/\S+-x\.drv .*\n {2}try {3}a derivation of the store .*--store/,
  },
  {
    name: "a moment that is none",
    args: ["store", "verify", "--before=yesterday"],
    code: "usage.value",
    says: /"yesterday" is no time.*\n {2}try .*30d/,
  },
  {
    name: "an age that is none",
    args: ["gc", "--older-than=soon"],
    code: "usage.value",
    says: /try .* h d w\).*30d/,
  },
  {
    name: "to check again and again",
    args: ["build", "--watch", "--check"],
    code: "usage.conflict",
    says: /--check and --watch do not go together/,
  },
  {
    name: "a page at no address",
    args: ["serve", "--sandbox=false", "--build-users-group=", "--ui=foo"],
    code: "usage.value",
    says: /^(?!.*Listening).*"foo" is no address/s,
  },
  { name: "a missing file", args: ["build", "nope"], code: "file.missing", says: /no file nope/ },
  {
    name: "a target without its #",
    args: ["build", "app"],
    files: { "kiln.build.ts": good },
    code: "file.missing",
    says: /no file app .*\n {2}try {3}\.#app\n/,
  },
  {
    name: "a build file without its ending",
    args: ["build", "tools"],
    files: { "tools.ts": good },
    code: "file.missing",
    says: /no file tools .*\n {2}try {3}tools\.ts\n/,
  },
  {
    name: "a file where there is no build file",
    args: ["build", "app"],
    code: "file.missing",
    says: /no file app .*\n {2}try {3}kiln init/,
  },
  {
    name: "a build file without a default target",
    args: ["build"],
    files: { "kiln.build.ts": shellTargets({ app: "", docs: "" }) },
    code: "target.unknown",
    says: /try {3}kiln build \.#app \(others: docs\)/,
  },
  {
    name: "a folder whose build file has no default target, from its parent,",
    args: ["build", "sub"],
    files: { "sub/kiln.build.ts": shellTargets({ app: "" }) },
    code: "target.unknown",
    says: /: sub\/kiln\.build\.ts has no default .*\n {2}try {3}kiln build sub#app\n/,
  },
  {
    name: "an unknown target of another folder",
    args: ["build", "sub#ap"],
    files: { "sub/kiln.build.ts": shellTargets({ app: "" }) },
    code: "target.unknown",
    says: / in sub\/kiln\.build\.ts .*\n {2}try {3}sub#app\n/,
  },
  {
    name: "an unknown target that is like none, where there is one,",
    args: ["build", ".#zzzzzz"],
    files: { "kiln.build.ts": shellTargets({ out: "" }) },
    code: "target.unknown",
    says: /try {3}the only target is \.#out\n/,
  },
  {
    name: "a folder without a build file",
    args: ["build", "."],
    code: "file.missing",
    says: /kiln\.build\.ts/,
  },
  {
    name: "an unknown target",
    args: ["build", ".#ap"],
    files: { "kiln.build.ts": good },
    code: "target.unknown",
    says: /try .*app/,
  },
  {
    name: "a target that is no derivation",
    args: ["build", ".#port"],
    files: { "kiln.build.ts": `${good}export const port = 8080;\n` },
    code: "target.kind",
    says: /port/,
  },
  {
    name: "a syntax error",
    args: ["build"],
    files: { "kiln.build.ts": `${good}const x = [1, 2;\n` },
    code: "author.syntax",
    says: /at {4}kiln\.build\.ts:\d+:\d+/,
  },
  {
    name: "a source that is not there",
    args: ["build"],
    files: {
      "main.txt": "",
      "kiln.build.ts": 'import { path } from "kiln-store";\nexport default path("./mian.txt");\n',
    },
    code: "file.missing",
    says: /at {4}kiln\.build\.ts:2:\d+/,
  },
  {
    name: "a parameter that does not exist",
    args: ["build", "--arg", "colour=red"],
    files: { "kiln.build.ts": good },
    code: "target.argument",
    says: /colour/,
  },
  {
    name: "a malformed derivation",
    args: ["build", "x.drv"],
    files: { "x.drv": "Derive(oops" },
    code: "drv.syntax",
    says: /x\.drv: .*byte 7/,
  },
  {
    name: "a derivation that is not in the store",
    args: ["build", "DRV"],
    code: "store.missing",
    sends: true,
  },
  {
    name: "a socket where nobody listens",
    args: ["--store-socket=no.sock", "build"],
    files: { "kiln.build.ts": good },
    code: "socket.refused",
    says: /no\.sock: no socket there .*\n {2}try {3}kiln serve --store-socket \S+\/no\.sock, or leave the flag out/,
  },
  {
    name: "the same socket in the environment",
    args: ["build"],
    env: { ZB_STORE_SOCKET: "/nonexistent/s" },
    files: { "kiln.build.ts": good },
    code: "socket.refused",
    says: /or do without ZB_STORE_SOCKET/,
  },
  {
    name: "a build that is left to a daemon that is not there",
    args: ["--store-socket=no.sock", "build", "--detach"],
    files: { "kiln.build.ts": good },
    code: "socket.refused",
    says: /try {3}kiln serve --store-socket \S+\/no\.sock: this needs a daemon/,
  },
  {
    name: "a command that needs a daemon",
    args: ["ps"],
    code: "socket.refused",
    says: /try {3}kiln ps -a for what ran, or kiln serve: this needs a daemon/,
  },
  {
    name: "a store that is not there",
    args: ["store", "object", "info", missingPath],
    code: "store.absent",
  },
  ...[["build"], ["ps"], ["store", "verify"]].map((args) => ({
    name: `a store directory that is a file, to kiln ${args.join(" ")},`,
    args,
    files: { "kiln.build.ts": good },
    env: { ZB_STORE_DIR: "/dev/null/store" },
    code: "store.directory",
    says: /\/dev\/null is no directory .*\n {2}try {3}--store names/,
  })),
  {
    name: "a path that is no store path",
    args: ["store", "object", "info", "/tmp/x"],
    code: "path.invalid",
    says: /too short.*, and there is no file \/tmp\/x/,
  },
  {
    name: "an import that is none",
    args: ["store", "object", "import"],
    input: "garbage, surely",
    code: "export.marker",
    says: /standard input: this is no export stream.*\n {2}try {3}\S+ store object export/,
    sends: true,
  },
  {
    name: "a folder for an export",
    args: ["store", "object", "import", "."],
    code: "file.type",
    says: /\. is a directory/,
  },
  {
    name: "an import of a missing file",
    args: ["store", "object", "import", "x.export"],
    code: "file.missing",
    says: /x\.export/,
  },
  {
    name: "a sandbox path that is missing",
    args: ["serve", "--build-users-group=", "--sandbox-path=/no/such"],
    code: "sandbox.path",
    says: /sandbox path \/no\/such does not exist/,
  },
  {
    name: "sandbox paths that hide one another",
    args: ["serve", "--build-users-group=", "--sandbox-path=/usr", "--sandbox-path=/usr/bin=/bin"],
    code: "sandbox.path",
    says: /\/usr and \/usr\/bin overlap/,
  },
  {
    name: "isolation of a kind that there is not",
    args: ["serve", "--sandbox=maybe"],
    code: "usage.value",
    says: /"maybe" is none of true, relaxed, auto, false/,
  },
  {
    name: "the value of a switch apart from it",
    args: ["build", "--sandbox", "false"],
    code: "file.missing",
    says: /try {3}.*--sandbox=false\n/,
  },
  {
    name: "a group that does not exist",
    args: ["serve", "--build-users-group=nosuchgroup"],
    code: "group.unknown",
    says: /group: unknown group nosuchgroup/,
  },
  {
    name: "systemd without systemd",
    args: ["serve", "--systemd"],
    code: "socket.systemd",
    says: /0 sockets/,
  },
  {
    name: "a trace that has nowhere to go",
    args: ["build", "--trace", "no/such/trace.json"],
    files: { "kiln.build.ts": good },
    code: "file.missing",
    says: /there is no folder no\/such/,
  },
  {
    name: "a link that has nowhere to go",
    args: ["build", "-o", "no/such/link"],
    files: { "kiln.build.ts": good },
    code: "file.missing",
    says: /--out-link/,
  },
  {
    name: "flags that exclude each other",
    args: ["build", "--detach", "--watch"],
    files: { "kiln.build.ts": good },
    code: "usage.conflict",
    says: /does not wait/,
  },
  {
    name: "an address that is none",
    args: ["ui", "here:99999"],
    code: "usage.value",
    says: /localhost:7420/,
  },
  { name: "zb's Lua", args: ["build", "-e", "1+1"], code: "usage.expression" },
];

describe("a mistake", () => {
  for (const mistake of mistakes)
    test(`${mistake.name} is said clearly`, async () => {
      await using place = new Place();
      for (const [name, text] of Object.entries(mistake.files ?? {})) place.write(name, text);
      const drv = join(place.store, `${"0".repeat(32)}-x.drv`);
      const ended = await place.run(
        mistake.args.map((arg) => (arg === "DRV" ? drv : arg)),
        {
          ...(mistake.env && { env: mistake.env }),
          ...(mistake.input && { input: mistake.input }),
        },
      );
      assert.equal(ended.code, 1, ended.stderr);
      assert.equal(ended.stdout.toString(), "");
      const errors = ended.stderr.split("\n").filter((line) => /^kiln: (error|fault)/.test(line));
      assert.equal(errors.length, 1, ended.stderr);
      assert.match(
        errors[0]!,
        new RegExp(`^kiln: error: .* \\[${mistake.code.replace(".", "\\.")}\\]$`),
      );
      assert.match(ended.stderr, mistake.says ?? /./);
      assert.doesNotMatch(ended.stderr, /node:internal|node_modules|\.js:\d|src\/cli/);
      assert.deepEqual(place.leftovers(), []);
      assert.deepEqual(place.objects(), []);
    });

  test("a wrong system is said clearly", async () => {
    await using place = new Place();
    place.write(
      "kiln.build.ts",
      good.replace('name: "main"', 'name: "main", system: "aarch64-plan9"'),
    );
    const ended = await place.run(["build"]);
    assert.equal(ended.code, 1, ended.stderr);
    assert.equal(ended.stdout.toString(), "");
    assert.match(ended.stderr, /aarch64-plan9.*\[build\.system\]/);
    assert.deepEqual(place.leftovers(), []);
  });

  test("a file that leads to no object is told apart from a path that is none", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", good);
    const { stderr } = await place.run(["build"]);
    assert.match(stderr, new RegExp(`^kiln: made a new store in ${place.store}$`, "m"));
    const ended = await place.run(["store", "tree", "kiln.build.ts"]);
    assert.equal(ended.code, 1);
    assert.match(
      ended.stderr,
      /: kiln\.build\.ts leads to no store object \[path\.invalid\]\n {2}try {3}a file that leads into \S+\/store, the store that was asked/,
    );
  });

  test("a folder of somebody's own is no store, and nothing is made in it or beside it", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", good);
    const folder = join(place.directory, "mine");
    mkdirSync(folder);
    writeFileSync(join(folder, "letter"), "");
    const store = ["--store", folder];
    for (const command of [["build"], ["serve", "--sandbox=false"], ["ui", ":0"]]) {
      const ended = await place.run([...command, ...store]);
      assert.equal(ended.code, 1, ended.stderr);
      assert.match(
        ended.stderr,
        /mine is no store, and not empty: it has letter\n?.*\[store\.directory\]/,
      );
      assert.match(ended.stderr, /try {3}name a folder that is new, empty, or a store/);
      assert.deepEqual(readdirSync(folder), ["letter"]);
      assert.ok(!existsSync(join(place.directory, "var/kiln")));
    }
    // A store of zb's has objects in it, and a file system may have something of its own.
    rmSync(join(folder, "letter"));
    mkdirSync(join(folder, "lost+found"));
    writeFileSync(join(folder, `${"0".repeat(32)}-object`), "");
    const built = await place.run(["build", ...store]);
    assert.equal(built.code, 0, built.stderr);
    // What was put into it later is left alone.
    writeFileSync(join(folder, "letter"), "");
    const again = await place.run(["build", ...store]);
    assert.equal(again.code, 0, again.stderr);
  });

  test("a damaged database is found by kiln doctor, too, and what helps names the store", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", good);
    const store = ["--store", place.store];
    assert.equal((await place.run(["build"])).code, 0);
    const well = await place.run(["doctor", ...store]);
    assert.doesNotMatch(well.stdout.toString(), /database/);
    const database = join(place.directory, "var/kiln/db.sqlite");
    const bytes = readFileSync(database);
    const remedy = `kiln store rebuild-db --store ${place.store}\n`;
    for (const at of [3 * 4096, 0]) {
      bytes.fill("x", at, at + 4096);
      writeFileSync(database, bytes);
      const doctor = await place.run(["doctor", ...store]);
      assert.equal(doctor.code, 1);
      const said = doctor.stdout.toString();
      assert.match(said, /^bad {3}store {4}database \S+: the file is damaged \(.+\)$/m);
      assert.ok(said.includes(remedy), said);
    }
    const list = await place.run(["store", "list", ...store]);
    assert.match(list.stderr, /\[database\.corrupt\]/);
    assert.ok(list.stderr.includes(remedy), list.stderr);
  });

  test("two stores in one folder are told apart, and what to do", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", good);
    assert.equal((await place.run(["build"])).code, 0);
    const other = await place.run(["build", `--store=${place.store}2`]);
    assert.equal(other.code, 1);
    assert.match(other.stderr, /\[database\.directory\]\n {2}try {3}.*another folder/);
  });

  test("a page where another program listens says how to have it elsewhere", async () => {
    await using place = new Place();
    const other = createServer().listen(0, "localhost");
    await once(other, "listening");
    try {
      const { port } = other.address() as AddressInfo;
      const next = (port + 1) % 65_536;
      const ui = await place.run(["ui", `localhost:${port}`]);
      assert.match(ui.stderr, new RegExp(`try {3}kiln ui localhost:${next}\n`));
      const serve = await place.run([
        "serve",
        "--sandbox=false",
        "--build-users-group=",
        `--ui=localhost:${port}`,
      ]);
      assert.match(serve.stderr, new RegExp(`try {3}kiln serve --ui=localhost:${next}\n`));
    } finally {
      other.close();
    }
  });

  test("--debug shows the stack", async () => {
    await using place = new Place();
    const ended = await place.run(["--debug", "build", "nope"]);
    assert.match(ended.stderr, /KilnError: no file nope\n +at /);
    assert.equal(ended.code, 1);
  });
});
