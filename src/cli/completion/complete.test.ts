import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Command } from "commander";
import { Interrupts } from "../interrupts.ts";
import { makeProgram } from "../program.ts";
import { complete } from "./complete.ts";
import { shells } from "./scripts.ts";

const { root } = makeProgram({
  env: {},
  program: "kiln",
  interrupts: new Interrupts(() => {}),
  note: () => {},
});

/** What comes after `line`, whose last word is the one to complete, in short: words, or what the shell is to look for. */
function after(line: string): string {
  const found = complete(root, line.split(" "));
  if (found.type === "words") return found.candidates.map(({ text }) => text).join(" ");
  if (found.type === "targets") return `targets of "${found.file}"`;
  if (found.type === "builds" || found.type === "roots") return found.type;
  return `${found.type} ${found.prefix}`.trimEnd();
}

/** The commands in the help of a command. */
function commandsOf(command: Command): string {
  const visible = command.createHelp().visibleCommands(command);
  return visible.map((sub) => sub.name()).join(" ");
}

const commands = commandsOf(root);
const storeCommands = commandsOf(root.commands.find((command) => command.name() === "store")!);

describe("completion knows", () => {
  for (const [line, expected] of [
    ["", commands],
    ["st", "store"],
    ["store ", storeCommands],
    ["store object ", "info export import delete"],
    ["store object rm ", "files"],
    ["--debug st", "store"],
    ["--store /x st", "store"],
    ["--store st", "directories"],
    ["--store=st", "directories --store="],
    ["--config ", "files"],
    ["store list --s", "--sort --store --store-socket"],
    ["store list --sort ", "path size"],
    ["store list --sort=s", "--sort=size"],
    ["store --sort=size list --pa", "--paths"],
    ["build --keep", "--keep-failed --keep-going"],
    ["build --keep-going=", "--keep-going=true --keep-going=false"],
    ["build --sandbox=", "true relaxed auto false".replaceAll(/\b(?=[a-z])/g, "--sandbox=")],
    ["build -o ", "files"],
    ["build -kqo ", "files"],
    ["build ", "files"],
    ["build .#", 'targets of "."'],
    ["build a b/c#d", 'targets of "b/c"'],
    ["build -- --", "files"],
    ["build --jobs ", ""],
    ["build --nonsense=", ""],
    ["build --progress", "--progress"],
    ["cancel ", "builds"],
    ["log ", "builds"],
    ["log abcdef ", ""],
    ["completion ", shells.join(" ")],
    ["completion bash ", ""],
    ["help ", commands],
    ["key show-public ", "files"],
    ["version ", ""],
    ["nonsense ", ""],
  ] as const) {
    test(`"kiln ${line}": ${expected || "nothing"}`, () => assert.equal(after(line), expected));
  }

  test("short flags, too, and no hidden ones", () => {
    const found = after("build -").split(" ");
    for (const flag of ["-k", "--keep-failed", "-o", "--help"])
      assert.ok(found.includes(flag), flag);
    assert.ok(!found.includes("--expression"));
  });
});
