import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Command } from "commander";
import { flagsOf, normalizeArguments } from "./arguments.ts";
import { examplesOf, nameOf } from "./examples.ts";
import { Interrupts } from "./interrupts.ts";
import { makeProgram } from "./program.ts";

const { root } = makeProgram({
  env: {},
  program: "kiln",
  interrupts: new Interrupts(() => {}),
  note: () => {},
});

/** The commands that do something, but for those that only scripts call. */
function leaves(command: Command): Command[] {
  if (command.commands.length > 0) return command.commands.flatMap(leaves);
  return ["help", "complete"].includes(command.name()) ? [] : [command];
}

/** The words of an example, as a shell would give them to `kiln`. */
function wordsOf(line: string): string[] {
  const words = line
    .replaceAll(/\$\([^)]*\)/g, "x")
    .replace(/ [<>] \S+$/, "")
    .split(" ");
  assert.equal(words[0], "kiln");
  return words.slice(1);
}

describe("the help of", () => {
  const commands = leaves(root);
  for (const command of commands) {
    test(`kiln ${nameOf(command)} has an example that it would understand`, () => {
      const examples = examplesOf(command);
      assert.ok(examples.length > 0, "src/cli/examples.ts has none");
      const flags = flagsOf([root, ...lineage(command)], false);
      for (const [line] of examples) {
        const words = normalizeArguments(root, wordsOf(line));
        const path = nameOf(command).split(" ");
        assert.deepEqual(words.slice(0, path.length), path, line);
        for (const word of words.filter((one) => one.startsWith("-"))) {
          assert.ok(flags.has(word.split("=")[0] ?? ""), `${line}: ${word}`);
        }
      }
    });
    test(`kiln ${nameOf(command)} says what it does, and each flag, in a line`, () => {
      assert.match(command.description(), /\S/);
      for (const option of command.options.filter(({ hidden }) => !hidden)) {
        assert.match(option.description, /\S/, option.flags);
      }
    });
  }
  test("says of each flag what it means in that command, also where another has it otherwise", () => {
    const limited = normalizeArguments(root, ["ps", "-a", "-n", "3"]);
    assert.deepEqual(limited, ["ps", "--all=true", "--limit=3"]);
    assert.deepEqual(normalizeArguments(root, ["gc", "-n"]), ["gc", "--dry-run=true"]);
  });
  test("all commands there are", () => {
    assert.ok(commands.length >= 25);
  });
});

function lineage(command: Command): Command[] {
  return command.parent === null ? [command] : [...lineage(command.parent), command];
}
