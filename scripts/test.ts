// Runs the tests and prints the counts.
//   node scripts/test.ts                 all
//   node scripts/test.ts vectors         the conformance vectors alone (KILN_VECTORS=DIR takes them from elsewhere)
//   node scripts/test.ts FILE…           these files
// The tests of each folder of src/ share one process, which is much faster; those in test/ get a process each; two processes at a time.
// Those in test/timed/, which measure, run alone. With KILN_BRIEF=1 it is the first of the files only.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isBrief } from "../test/support/brief.ts";

/** A process that takes longer hangs, and is ended with all it has started. */
const limit = 10 * 60_000;

process.chdir(fileURLToPath(new URL("..", import.meta.url)));
const asked = process.argv.slice(2);
const all = [...globSync("src/**/*.test.ts"), ...globSync("test/**/*.test.ts")].toSorted();
const chosen =
  asked.length === 0
    ? all
    : asked[0] === "vectors"
      ? all.filter((file) => file.startsWith("test/vectors/"))
      : asked;
const files = isBrief ? chosen.slice(0, 1) : chosen;
const unknown = files.filter((file) => !all.includes(file));
if (files.length === 0 || unknown.length > 0) {
  console.error(`no such test file: ${unknown.join(", ") || asked.join(" ")}`);
  process.exit(1);
}

/** Hints name the command as it was called: with this it is `kiln`, however the tests call it. */
const path = [join(process.cwd(), "bin"), process.env["PATH"]].join(delimiter);

const scratch = mkdtempSync(join(tmpdir(), "kiln-test-"));
const countsFile = join(scratch, "counts");
writeFileSync(countsFile, "");
let broken = 0;

/** Runs these files in one process and prints what it said when it has ended. */
async function run(group: readonly string[]): Promise<void> {
  if (group.length === 0) return;
  const child = spawn(
    process.execPath,
    [
      "--disable-warning=ExperimentalWarning",
      "--test",
      "--test-isolation=none",
      "--test-reporter=./scripts/reporter.ts",
      "--test-reporter-destination=stdout",
      ...group,
    ],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, PATH: path, KILN_TEST_COUNTS: countsFile },
      detached: true,
    },
  );
  const said: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => said.push(chunk));
  }
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    process.kill(-child.pid!, "SIGKILL");
  }, limit);
  const [code] = (await once(child, "exit")) as [number | null];
  clearTimeout(timer);
  // What a test has left running may hold the pipes open.
  await new Promise((resolve) => setTimeout(resolve, 10));
  process.stdout.write(Buffer.concat(said));
  if (code === 0) return;
  broken++;
  if (late) console.log(`✗ ${group.join(" ")}: not finished after ${limit / 60_000} minutes`);
}

/** The groups one after the other, on as many lanes. */
async function inTurn(queue: string[][], lanes: number): Promise<void> {
  await Promise.all(
    Array.from({ length: lanes }, async () => {
      for (let group = queue.shift(); group !== undefined; group = queue.shift()) await run(group);
    }),
  );
}

const isTimed = (file: string): boolean => file.startsWith("test/timed/");
const pure = Object.groupBy(
  files.filter((file) => file.startsWith("src/")),
  (file) => file.split("/", 2).join("/"),
);
await inTurn(
  [
    ...Object.values(pure).map((group) => group ?? []),
    ...files.filter((file) => file.startsWith("test/") && !isTimed(file)).map((file) => [file]),
  ],
  2,
);
await inTurn(
  files.filter(isTimed).map((file) => [file]),
  1,
);

const total = { passed: 0, failed: 0, skipped: 0 };
for (const line of readFileSync(countsFile, "utf8").split("\n").filter(Boolean)) {
  const counts = JSON.parse(line) as typeof total;
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
}
rmSync(scratch, { recursive: true });
// A process that died without counting is a failure, too.
total.failed = Math.max(total.failed, broken);
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed > 0 || total.passed === 0 ? 1 : 0);
