// Compiles src/ to dist/, copies what the compiler leaves out (SQL, shell, perl and .mjs files), bundles the command and its threads, and builds the page.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, globSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildPage } from "./build-ui.ts";
import { bundleCommand, bundleThreads } from "./bundle.ts";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
if (process.argv.includes("--clean")) rmSync("dist", { recursive: true, force: true });
const { dependencies, devDependencies } = JSON.parse(
  readFileSync("package.json", "utf8"),
) as Record<"dependencies" | "devDependencies", Record<string, string>>;
const missing = Object.keys({ ...dependencies, ...devDependencies }).filter(
  (name) => !existsSync(`node_modules/${name}/package.json`),
);
if (missing.length > 0) {
  console.error(`not installed: ${missing.join(", ")}: npm ci --ignore-scripts`);
  process.exit(1);
}
try {
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-b"], { stdio: "inherit" });
} catch {
  process.exit(1);
}
for (const file of globSync("src/**/*.{sql,sh,pl,mjs}")) {
  cpSync(file, file.replace(/^src/, "dist"));
}
await bundleThreads("dist");
await bundleCommand("dist");
await buildPage();
