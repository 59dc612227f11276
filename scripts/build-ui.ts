// Builds the page (ui/) to dist/ui, unless that was made of the same files.
//   node scripts/build-ui.ts
import { createHash } from "node:crypto";
import { globSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const root = fileURLToPath(new URL("..", import.meta.url));
const stamp = "dist/ui/inputs.sha256";

/** Builds the page of the checkout. */
export async function buildPage(): Promise<void> {
  const now = inputs();
  if (now === before()) return;
  // Loaded late: it takes longer than to see that there is nothing to do.
  const { build } = await import("vite");
  await build({ configFile: join(root, "ui/vite.config.ts"), logLevel: "warn" });
  compress();
  writeFileSync(join(root, stamp), now);
}

/** Puts beside each file of text what browsers get that take it packed. */
function compress(): void {
  for (const file of globSync("dist/ui/static/*.{js,css,svg}", { cwd: root })) {
    const path = join(root, file);
    writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
  }
}

/** A digest of all that the page is made of. */
function inputs(): string {
  const hash = createHash("sha256");
  const files = globSync("ui/**/*", { cwd: root }).toSorted();
  for (const file of [...files, "src/web/api/messages.ts", "package-lock.json"]) {
    if (!statSync(join(root, file)).isFile()) continue;
    hash.update(`${file}\0`).update(readFileSync(join(root, file)));
  }
  return hash.digest("hex");
}

function before(): string | undefined {
  try {
    return readFileSync(join(root, stamp), "utf8");
  } catch {
    return undefined;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildPage();
