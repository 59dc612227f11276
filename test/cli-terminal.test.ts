// What a terminal gets: the tree, colours, and its cursor back.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { describe, test } from "node:test";
import { Place, shellTargets } from "./support/cli.ts";
import { kilnProgram } from "./support/world.ts";

// util-linux's script(1) gives a program a terminal of its own.
const skip =
  spawnSync("script", ["-qec", "true", "/dev/null"]).status !== 0 && "script(1) is not here";

interface Shown {
  readonly code: number | null;
  /** Everything the terminal got. */
  readonly text: string;
}

async function onTerminal(
  place: Place,
  args: readonly string[],
  options: {
    columns?: number;
    env?: Readonly<Record<string, string>>;
    /** Typed as soon as the builder says "slow". */ type?: string;
  } = {},
): Promise<Shown> {
  const words = [kilnProgram, ...args].map((word) => `'${word}'`).join(" ");
  const command = `stty cols ${options.columns ?? 80} rows 24; exec ${words}`;
  const child = spawn("script", ["-qefc", command, "/dev/null"], {
    cwd: place.project,
    env: {
      PATH: process.env["PATH"],
      HOME: place.directory,
      ZB_STORE_DIR: place.store,
      LANG: "C.UTF-8",
      TERM: "xterm-256color",
      ...options.env,
    },
  });
  let text = "";
  let toType = options.type;
  child.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString();
    if (toType === undefined || !text.includes("slow")) return;
    child.stdin.write(toType);
    toType = undefined;
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, text };
}

const escape = String.fromCharCode(27);
const styles = new RegExp(`${escape}\\[[0-9;]*m`, "g");

/** Lines that stay when all is over, without colours: what was erased is gone. */
function staying(text: string): string[] {
  const lines: string[] = [];
  for (const raw of text.replaceAll("\r\n", "\n").split("\n")) {
    const erased = raw.split(`${escape}[2K`).length - 1 || 0;
    if (erased > 0) lines.splice(Math.max(0, lines.length - erased + 1));
    lines.push(
      raw
        .replaceAll(styles, "")
        .replaceAll(new RegExp(`${escape}\\[\\??[0-9;]*[A-Za-z]`, "g"), "")
        .replaceAll("\r", ""),
    );
  }
  return lines.filter((line) => line !== "");
}

describe("on a terminal", { skip }, () => {
  test("what has ended stays above, and the cursor comes back", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", shellTargets({ default: "echo one; sleep 0.5; echo hi > $out" }));
    const { code, text } = await onTerminal(place, ["build"]);
    assert.equal(code, 0, text);
    const plain = text.replaceAll(styles, "");
    assert.match(plain, /▸ main {2,}one/, "the newest line of a running builder is shown");
    assert.match(plain, /─ 0\/1 {2}1 running/);
    const lines = staying(text);
    assert.match(lines.at(-3) ?? "", /^✓ main +\S+s$/);
    assert.match(lines.at(-2) ?? "", /^kiln: 1 built in /);
    assert.match(lines.at(-1) ?? "", /^\/.*-main$/);
    assert.ok(text.lastIndexOf(`${escape}[?25h`) > text.lastIndexOf(`${escape}[?25l`));
  });

  test("a failure is shown whole, in red", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", shellTargets({ default: "echo oops; exit 7" }));
    const { code, text } = await onTerminal(place, ["build"]);
    assert.equal(code, 1);
    assert.ok(text.includes(`${escape}[31m${escape}[1m✗`));
    const lines = staying(text);
    const at = lines.findIndex((line) => line.startsWith("✗ main"));
    assert.match(lines[at] ?? "", /builder exited with status 7 after/);
    assert.equal(lines[at + 1], "  │ oops");
  });

  test("a builder can colour its words and nothing more", async () => {
    await using place = new Place();
    place.write(
      "kiln.build.ts",
      shellTargets({
        default: String.raw`printf '\033[32mgreen\033[0m\033]0;title\007\033[2J\n'; exit 1`,
      }),
    );
    const { text } = await onTerminal(place, ["build", "-L"]);
    assert.ok(text.includes(`${escape}[32mgreen`));
    assert.ok(!text.includes(`${escape}]0;`));
    assert.ok(!text.includes(`${escape}[2J`));
  });

  test("names that somebody has given are text and nothing else", async () => {
    await using place = new Place();
    place.write(
      "kiln.build.ts",
      shellTargets({
        default: "echo hi > $out",
        bad: String.raw`mkdir $out; mkfifo "$out/$(printf 'a\033]0;title\007\033[2J\nkiln: built\302\2332J')"`,
      }),
    );
    const { text } = await onTerminal(place, ["build", ".#bad"]);
    assert.ok(
      text.includes(String.raw`a\u001b]0;title\u0007\u001b[2J\nkiln: built\u009b2J is neither`),
      text,
    );
    assert.ok(!text.includes(`${escape}]0;`) && !text.includes("\u009b"), text);
    const built = await place.run(["build", "-o", `a${escape}]0;title\u0007\nb`]);
    assert.equal(built.code, 0, built.stderr);
    const roots = await onTerminal(place, ["root", "list"]);
    assert.ok(roots.text.includes(String.raw`a\u001b]0;title\u0007\nb  `), roots.text);
  });

  test("Ctrl-C cancels", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", shellTargets({ default: "echo slow; sleep 60" }));
    const { code, text } = await onTerminal(place, ["build"], { type: "\u0003" });
    assert.equal(code, 130, text);
    assert.match(text, /cancelling [0-9a-f]{8} \(Ctrl-C again: leave now\)/);
    assert.match(text.replaceAll(styles, ""), /⊘ main +cancelled after/);
  });

  test("there are no colours with NO_COLOR, and only ASCII without UTF-8", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", shellTargets({ default: "echo hi > $out" }));
    const env = { NO_COLOR: "1", LANG: "C" };
    const { text } = await onTerminal(place, ["build"], { env });
    assert.doesNotMatch(text, styles);
    assert.ok(
      Array.from(text).every((char) => char < "\u007f"),
      text,
    );
    assert.ok(staying(text).some((line) => line.startsWith("+ main")));
  });

  test("CI and TERM=dumb get plain lines", async () => {
    await using place = new Place();
    place.write("kiln.build.ts", shellTargets({ default: "echo hi > $out" }));
    for (const env of [{ CI: "1" }, { TERM: "dumb" }]) {
      const { text } = await onTerminal(place, ["build", "--clean"], { env });
      assert.match(text.replaceAll(styles, ""), /^kiln: \[1\/1\] main built in/m);
      assert.ok(!text.includes(`${escape}[?25l`));
    }
  });

  test("an export does not go to a terminal", async () => {
    await using place = new Place();
    const { code, text } = await onTerminal(place, [
      "store",
      "object",
      "export",
      `${place.store}/${"0".repeat(32)}-x`,
    ]);
    assert.equal(code, 1);
    assert.match(text, /\[usage\.terminal\]/);
  });
});
