// Compiles src/ to dist/, copies what the compiler leaves out (SQL, shell and .mjs files), and bundles the command.
import { execFileSync } from "node:child_process";
import { cpSync, globSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bundleCommand } from "./bundle.ts";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
if (process.argv.includes("--clean")) rmSync("dist", { recursive: true, force: true });
try {
  execFileSync(process.execPath, ["node_modules/typescript/bin/tsc", "-b"], { stdio: "inherit" });
} catch {
  process.exit(1);
}
for (const file of globSync("src/**/*.{sql,sh,mjs}")) {
  cpSync(file, file.replace(/^src/, "dist"));
}
await bundleCommand("dist");
