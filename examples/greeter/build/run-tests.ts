// Runs the compiled tests beside the package.json they will be published with.
import { cpSync, globSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "node:test";
import type { BuildContext } from "kiln-store";

interface Attrs {
  app: string;
  dist: string;
}

export default async function runTests({ attrs, out, work }: BuildContext<Attrs>): Promise<void> {
  cpSync(attrs.dist, join(work, "dist"), { recursive: true });
  cpSync(join(attrs.app, "package.json"), join(work, "package.json"));
  const files = globSync("dist/**/*.test.js", { cwd: work }).map((file) => join(work, file));
  const passed: string[] = [];
  let failed = 0;
  const results = run({ files: files.toSorted(), isolation: "none" });
  results.on("test:pass", ({ name }) => passed.push(name));
  results.on("test:fail", ({ name, details }) => {
    failed++;
    console.error(`FAILED ${name}: ${details.error.message}`);
  });
  for await (const _ of results);
  if (failed > 0 || passed.length === 0) throw new Error(`${failed} tests failed`);
  // No times: the same tests give the same report.
  writeFileSync(out, passed.map((name) => `ok ${name}\n`).join(""));
  console.log(`${passed.length} tests passed`);
}
