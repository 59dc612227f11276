import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { project } from "./project.test.support.ts";
import { evaluate } from "./testing.ts";

test("a build file is tested without a store", async () => {
  await using folder = await project(
    `import { currentSystem, derivation, env, param, path, target } from "kiln-store";
     const input = path("./input.txt");
     export default target({ tag: param.string("dev") }, ({ tag }) =>
       derivation({ name: \`app-\${tag}\`, builder: "/bin/sh", env: { input, mode: env("MODE"), on: currentSystem } }));`,
    { "input.txt": "x" },
  );
  const file = pathToFileURL(join(folder.path, "kiln.build.ts"));
  const { derivations, sources, targets, wanted } = await evaluate(file, {
    args: { tag: "1" },
    env: { MODE: "fast" },
  });
  assert.equal(targets[0]?.kind, "target");
  assert.equal(wanted[0]?.name, "app-1");
  assert.equal(sources.length, 1);
  const [[drvPath, shown] = []] = Object.entries(derivations);
  assert.equal(drvPath, wanted[0].drvPath);
  assert.equal(shown?.env["mode"], "fast");
  assert.equal(shown?.env["on"], "x86_64-linux");
  assert.equal(shown?.env["input"], sources[0]);

  const elsewhere = await evaluate(file, { storeDirectory: "/s", system: "riscv64-linux" });
  assert.ok(elsewhere.wanted[0]?.drvPath.startsWith("/s/"));
  await assert.rejects(evaluate(file, { targets: ["x"] }), { code: "target.unknown" });
});
