// The README's first command, as a newcomer meets it: no store, no daemon.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Ended, needsWorld, World } from "./support/world.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  scripts: Record<string, string>;
};

describe("npm run example", { skip: needsWorld }, () => {
  test("prints one store path, the same again without building, and the same in a second clone", async () => {
    await using world = await World.open();
    const command = scripts["example"]!;
    assert.match(command, /^bin\/kiln build examples\//);
    const run = (cwd: string): Promise<Ended> =>
      world.run("sh", ["-c", `exec ${command}`], { cwd });

    const first = await run(root);
    assert.equal(first.code, 0, first.stderr);
    const path = first.stdout.toString();
    assert.match(path, /^\/opt\/zb\/store\/[0-9a-z]{32}-greeter[^/\n]*\n$/);

    const second = await run(root);
    assert.equal(second.code, 0, second.stderr);
    assert.equal(second.stdout.toString(), path);
    assert.match(second.stderr, /nothing to build/);

    const clone = join(world.directory, "elsewhere", "clone");
    execFileSync("mkdir", ["-p", clone]);
    for (const part of ["bin", "dist", "examples", "package.json"]) {
      execFileSync("cp", ["-a", "--reflink=auto", join(root, part), clone]);
    }
    symlinkSync(join(root, "node_modules"), join(clone, "node_modules"));
    const third = await run(clone);
    assert.equal(third.code, 0, third.stderr);
    assert.equal(third.stdout.toString(), path);
    assert.match(third.stderr, /nothing to build/);

    const packed = execFileSync("tar", ["-tzf", world.path(path.trim())], { encoding: "utf8" });
    assert.match(packed, /package\.json/);
    assert.match(packed, /\.js/);
  });
});
