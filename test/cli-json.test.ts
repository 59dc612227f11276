// Every command that tells something tells it as JSON, too: lines of it on standard output, and nothing else there.
import assert from "node:assert/strict";
import { existsSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Command } from "commander";
import { nameOf } from "../src/cli/examples.ts";
import { Interrupts } from "../src/cli/interrupts.ts";
import { makeProgram } from "../src/cli/program.ts";
import { hostFolders, Place, shellTargets, until } from "./support/cli.ts";

/** Commands without `--json`, and why. */
const withoutJSON: Readonly<Record<string, string>> = {
  serve: "its log is for people and journald",
  completion: "a script",
  "nar pack": "an archive",
  "store object export": "an export",
  "key generate": "a key file, which is JSON",
  "key show-public": "public keys, which are JSON",
};

const project = shellTargets({
  default: "echo hi > $out",
  wordy: "echo one; echo two; echo > $out",
  bad: "echo oops; exit 3",
  slow: "echo started; sleep 60",
});

const { root } = makeProgram({
  env: {},
  program: "kiln",
  interrupts: new Interrupts(() => {}),
  note: () => {},
});

function leaves(command: Command): Command[] {
  if (command.commands.length > 0) return command.commands.flatMap(leaves);
  return ["help", "complete"].includes(command.name()) ? [] : [command];
}

describe("--json", () => {
  const place = new Place();
  let path = "";
  let drvPath = "";
  let victim = "";
  /** What follows the command's name, the standard input, the exit code. */
  interface Case {
    readonly args?: () => readonly string[] | Promise<readonly string[]>;
    readonly input?: () => Promise<string | Buffer>;
    readonly code?: number;
    /** The members of the first line, as far as they matter. */
    readonly has: readonly string[];
  }
  const cases: Readonly<Record<string, Case>> = {
    build: { args: () => [".#wordy"], has: ["v", "seq", "time", "type", "buildID"] },
    attach: { args: async () => [await lastBuild()], has: ["v", "seq", "time", "type", "buildID"] },
    ui: { code: 1, has: [] }, // the daemon here has no page
    targets: { has: ["file", "name", "kind"] },
    eval: { args: () => ["--twice"], has: ["name", "drvPath"] },
    init: { args: () => [join(place.directory, "fresh")], has: ["written"] },
    "derivation show": { args: () => [drvPath], has: ["name", "builder", "env"] },
    "derivation env": { args: () => [drvPath], has: ["builder", "args", "env"] },
    log: { args: () => ["wordy"], has: ["buildID", "drvPath", "line", "text"] },
    ps: { args: () => ["-a"], has: ["id", "state", "targets"] },
    cancel: { args: async () => [await startSlow()], has: ["cancelling"] },
    doctor: { code: -1, has: [] },
    version: { has: ["kiln", "node", "system"] },
    "store list": { has: ["path", "narSize"] },
    "store closure": { args: () => [path], has: ["path", "narSize"] },
    "store path": { args: () => [path], has: ["path"] },
    "store tree": { args: () => [path], has: ["path", "references"] },
    "store why-depends": { args: () => [path, path], has: [] },
    "store object info": { args: () => [path], has: ["narHash", "narSize", "references", "ca"] },
    "store object import": {
      input: async () => (await place.run(["store", "object", "export", path])).stdout,
      has: ["storePath", "status"],
    },
    "store object register": {
      input: async () => (await place.run(["store", "object", "info", path])).stdout,
      has: ["registered"],
    },
    "store object delete": { args: () => [victim], has: ["deleted"] },
    "store verify": { has: ["checked", "bytes", "damaged", "foreign"] },
    "store rebuild-db": { args: () => ["--db", join(place.directory, "no/db")], code: 1, has: [] },
    "root add": { args: () => ["kept", path], has: ["name", "kind", "path", "user"] },
    "root list": {
      args: async () => {
        await place.run(["root", "add", "listed", path]);
        return [];
      },
      has: ["name", "kind", "path", "createdAt"],
    },
    "root remove": {
      args: async () => {
        await place.run(["root", "add", "gone", path]);
        return ["gone"];
      },
      has: ["removed"],
    },
    gc: { args: () => ["--dry-run"], has: ["dryRun", "removed", "count", "bytes", "left"] },
    "store adopt": { args: () => ["--zb-db", join(place.directory, "none")], code: 1, has: [] },
    install: { args: () => ["--single-user", "--dry-run"], code: -1, has: [] },
    uninstall: { args: () => ["--single-user", "--dry-run"], code: -1, has: [] },
  };

  async function lastBuild(): Promise<string> {
    const list = await place.run(["ps", "-a", "--json"]);
    return (JSON.parse(list.stdout.toString().split("\n")[0] ?? "") as { id: string }).id;
  }

  async function startSlow(): Promise<string> {
    const build = place.start(["build", "-L", ".#slow"]);
    await until(build, () => build.stderr().includes("slow| started"));
    const running = (await place.run(["ps", "--json"])).stdout.toString().split("\n")[0] ?? "";
    return (JSON.parse(running) as { id: string }).id;
  }

  before(async () => {
    place.write("kiln.build.ts", project);
    await place.serve([`--sandbox-path=${hostFolders.join(" ")}`]);
    const built = await place.run(["build", ".#default"]);
    assert.equal(built.code, 0, built.stderr);
    path = built.stdout.toString().trim();
    drvPath = (await place.run(["eval"])).stdout.toString().trim();
    const linked = join(place.directory, "out");
    if (!existsSync(linked)) symlinkSync(path, linked);
    victim = (await place.run(["build", ".#wordy"])).stdout.toString().trim();
  });
  after(async () => await place[Symbol.asyncDispose]());

  for (const command of leaves(root)) {
    const name = nameOf(command);
    if (withoutJSON[name] !== undefined) continue;
    test(`of kiln ${name} prints JSON and nothing else`, async () => {
      const one = cases[name];
      assert.ok(one !== undefined, "a case for this command is missing here");
      const args = [...name.split(" "), "--json", ...((await one.args?.()) ?? [])];
      const input = await one.input?.();
      const ended = await place.run(args, input === undefined ? {} : { input });
      if (one.code !== -1) assert.equal(ended.code, one.code ?? 0, ended.stderr);
      const text = ended.stdout.toString();
      // Some print one value over several lines, as zb does; the others a value on each.
      const values: unknown[] = isJSON(text)
        ? [JSON.parse(text)]
        : text
            .split("\n")
            .filter(Boolean)
            .map((line) => JSON.parse(line) as unknown);
      if (one.has.length === 0) return;
      const [first] = values.flat() as object[];
      for (const member of one.has) assert.ok(member in (first ?? {}), `${member} in ${text}`);
    });
  }

  test("is missing only where there is nothing to tell", () => {
    const names = leaves(root).map(nameOf);
    const known = [...Object.keys(cases), ...Object.keys(withoutJSON)];
    assert.deepEqual(
      names.filter((name) => !known.includes(name)),
      [],
    );
    for (const command of leaves(root)) {
      const has = command.options.some(({ long }) => long === "--json");
      assert.equal(has, withoutJSON[nameOf(command)] === undefined, nameOf(command));
    }
  });

  test("leaves nothing behind", () => {
    assert.ok(!readdirSync(place.project).some((file) => file.startsWith("result")));
  });
});

function isJSON(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
