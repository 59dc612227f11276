import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Command, Option } from "commander";
import { flagsOf, normalizeArguments, repeated, Switch, valued } from "./arguments.ts";

function sample(): Command {
  const program = new Command("kiln")
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .addOption(new Option("--store <dir>"))
    .addOption(new Switch("--debug", "debug"));
  program
    .command("serve")
    .addOption(new Switch("--sandbox", "isolate"))
    .addOption(new Option("--db <path>"))
    .addOption(repeated("--sandbox-path <path>", "paths", (text) => text))
    .addOption(valued("--jobs <number>", "jobs", Number))
    .action(() => {});
  program
    .command("build")
    .argument("[targets...]")
    .addOption(new Switch("-k, --keep-failed", "keep"))
    .addOption(new Switch("-q, --quiet", "quiet"))
    .addOption(new Option("-o, --out-link <path>"))
    .action(() => {});
  const store = program.command("store");
  store
    .command("delete")
    .alias("rm")
    .argument("<paths...>")
    .addOption(new Switch("-r, --recursive", "recursive"))
    .action(() => {});
  store
    .command("export")
    .addOption(new Option("-o, --output <file>"))
    .action(() => {});
  return program;
}

describe("a command line is rewritten to", () => {
  const cases: [string, string][] = [
    ["--store /x serve --sandbox", "serve --store=/x --sandbox=true"],
    ["--db /y serve", "serve --db=/y"],
    ["--sandbox serve", "serve --sandbox=true"],
    ["serve --sandbox=false", "serve --sandbox=false"],
    ["serve --no-sandbox", "serve --sandbox=false"],
    ["serve --sandbox false", "serve --sandbox=true false"],
    ["serve --jobs -5", "serve --jobs=-5"],
    ["serve --store=", "serve --store="],
    ["build -kq a b", "build --keep-failed=true --quiet=true a b"],
    ["build -kor a", "build --keep-failed=true --out-link=r a"],
    ["build -o r a", "build --out-link=r a"],
    ["build -k=false a", "build --keep-failed=false a"],
    ["store export -o x", "store export --output=x"],
    ["store rm -r p", "store rm --recursive=true p"],
    ["build store", "build store"],
    ["build a build", "build a build"],
    ["build -- -k --debug", "build -- -k --debug"],
    ["build - a", "build - a"],
    ["build --nosuch a", "build --nosuch a"],
    ["build -x", "build -x"],
    ["nosuch build", "nosuch build"],
    ["serve --db", "serve --db"],
  ];
  for (const [written, wanted] of cases)
    test(`${written} -> ${wanted}`, () => {
      assert.deepEqual(normalizeArguments(sample(), written.split(" ")), wanted.split(" "));
    });
});

test("values reach the command that has the flag, wherever they were written", async () => {
  const program = sample();
  const args = "--sandbox-path a --debug serve --sandbox-path b --sandbox=F --store /x".split(" ");
  await program.parseAsync(normalizeArguments(program, args), { from: "user" });
  const serve = program.commands.find((command) => command.name() === "serve")!;
  assert.deepEqual(serve.optsWithGlobals(), {
    sandboxPath: ["a", "b"],
    debug: true,
    sandbox: false,
    store: "/x",
  });
});

test("a bad value names the flag", () => {
  const program = sample();
  const parse = (): unknown =>
    program.parse(normalizeArguments(program, ["serve", "--sandbox=maybe"]), { from: "user" });
  assert.throws(parse, /--sandbox.*neither true nor false/);
});

test("each name of a flag is found below the program", () => {
  assert.ok(flagsOf([sample()], true).has("-o"));
  assert.ok(!flagsOf([sample()], false).has("-o"));
});
