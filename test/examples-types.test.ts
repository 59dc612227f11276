// The examples are what people copy, so they have to be right for the compiler, too.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { temporaryDirectory } from "../src/util/temp.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

for (const project of ["examples", "examples/greeter/app"]) {
  test(`${project} has no type errors`, () => {
    const compiler = "node_modules/typescript/bin/tsc";
    const ended = spawnSync(process.execPath, [compiler, "-p", project, "--noEmit"], {
      cwd: root,
      encoding: "utf8",
    });
    assert.equal(ended.stdout + ended.stderr, "");
    assert.equal(ended.status, 0);
  });
}

test("Kiln's own types have no errors in a strict project that checks them, as docs/authoring.md has it", async () => {
  await using folder = await temporaryDirectory(realpathSync(tmpdir()), "kiln-types-");
  const at = (name: string): string => join(folder.path, name);
  mkdirSync(at("node_modules"));
  symlinkSync(root, at("node_modules/kiln-store"));
  symlinkSync(join(root, "node_modules/@types"), at("node_modules/@types"));
  const compilerOptions = {
    strict: true,
    target: "es2022",
    module: "nodenext",
    types: ["node"],
    noEmit: true,
    skipLibCheck: false,
  };
  writeFileSync(at("tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
  const lines = ["", "/testing"].map((part, i) => `export * as k${i} from "kiln-store${part}";\n`);
  writeFileSync(at("kiln.build.ts"), lines.join(""));
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const ended = spawnSync(process.execPath, [compiler, "-p", "."], {
    cwd: folder.path,
    encoding: "utf8",
  });
  assert.equal(ended.stdout + ended.stderr, "");
  assert.equal(ended.status, 0);
});
