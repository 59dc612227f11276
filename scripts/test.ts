// Runs the tests and prints the counts.
//   node scripts/test.ts                 all
//   node scripts/test.ts vectors         the conformance vectors alone (KILN_VECTORS=DIR takes them from elsewhere)
//   node scripts/test.ts FILE…           these files
// Pure tests (src/) share one process, which is much faster; those in test/ get a process each.
import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const asked = process.argv.slice(2);
const all = [...globSync("src/**/*.test.ts"), ...globSync("test/**/*.test.ts")].toSorted();
const files =
  asked.length === 0
    ? all
    : asked[0] === "vectors"
      ? all.filter((file) => file.startsWith("test/vectors/"))
      : asked;
const unknown = files.filter((file) => !all.includes(file));
if (files.length === 0 || unknown.length > 0) {
  console.error(`no such test file: ${unknown.join(", ") || asked.join(" ")}`);
  process.exit(1);
}

const scratch = mkdtempSync(join(tmpdir(), "kiln-test-"));
const countsFile = join(scratch, "counts");
writeFileSync(countsFile, "");
let broken = false;
for (const [isolation, group] of [
  ["none", files.filter((file) => file.startsWith("src/"))],
  ["process", files.filter((file) => file.startsWith("test/"))],
] as const) {
  if (group.length === 0) continue;
  const ended = spawnSync(
    process.execPath,
    [
      "--disable-warning=ExperimentalWarning",
      "--test",
      `--test-isolation=${isolation}`,
      "--test-concurrency=2",
      "--test-timeout=240000",
      "--test-reporter=./scripts/reporter.ts",
      "--test-reporter-destination=stdout",
      ...group,
    ],
    {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, KILN_TEST_COUNTS: countsFile },
    },
  );
  broken ||= ended.status !== 0;
}
const total = { passed: 0, failed: 0, skipped: 0 };
for (const line of readFileSync(countsFile, "utf8").split("\n").filter(Boolean)) {
  const counts = JSON.parse(line) as typeof total;
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
}
rmSync(scratch, { recursive: true });
if (broken && total.failed === 0) total.failed = 1;
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(broken || total.passed === 0 ? 1 : 0);
