// The recipes in packaging/: what they copy is there, and what they run is something that Kiln understands.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { faultOf } from "./support/command-line.ts";
import { root } from "./support/document.ts";

const read = (file: string): string => readFileSync(join(root, "packaging", file), "utf8");

/** The instructions of a Containerfile: `COPY a b` is `["COPY", "a b"]`. */
function instructionsOf(text: string): [string, string][] {
  return [...text.replaceAll("\\\n", " ").matchAll(/^([A-Z]+) (.*)$/gm)].map(
    ([, instruction = "", rest = ""]) => [instruction, rest],
  );
}

test("the container's recipe copies what is there, and starts the daemon as a plain user", () => {
  const instructions = instructionsOf(read("Containerfile"));
  const copied = instructions
    .filter(([instruction, rest]) => instruction === "COPY" && !rest.startsWith("--from="))
    .flatMap(([, rest]) => rest.split(" ").slice(0, -1));
  assert.ok(copied.includes("package-lock.json"));
  const missing = copied.filter((path) => !existsSync(join(root, path)));
  assert.deepEqual(missing, []);

  const last = new Map(instructions);
  assert.equal(last.get("USER"), "kiln");
  const words = ["ENTRYPOINT", "CMD"].flatMap(
    (instruction) => JSON.parse(last.get(instruction) ?? "[]") as string[],
  );
  assert.equal(words[0], "kiln");
  assert.equal(faultOf(words.slice(1).join(" ")), undefined);
});

test("the workflow's commands are understood", () => {
  const commands = [...read("github-actions.yml").matchAll(/run: npx kiln (.*)$/gm)];
  assert.ok(commands.length > 0);
  for (const [, words = ""] of commands) assert.equal(faultOf(words), undefined);
});
