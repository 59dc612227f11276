// What a test run prints: a line per file, each failure whole, each skip with its reason; the counts go to the file
// named by KILN_TEST_COUNTS, so that several runs can be added up.
import { appendFileSync } from "node:fs";
import { relative } from "node:path";
import type { TestEvent } from "node:test/reporters";
import { inspect } from "node:util";

interface FileCounts {
  passed: number;
  failed: number;
  skipped: number;
  milliseconds: number;
}

export default async function* reporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const files = new Map<string, FileCounts>();
  const skips = new Map<string, number>();
  for await (const event of source) {
    if (event.type === "test:stdout" || event.type === "test:stderr") yield event.data.message;
    if (event.type !== "test:pass" && event.type !== "test:fail") continue;
    const { data } = event;
    const isSuite = data.details.type === "suite";
    const isFile = data.file !== undefined && data.name === data.file;
    // A skipped suite counts as one skip: its tests are not even seen.
    // A suite fails when a test in it does; that test was counted already. A file that dies by itself is one failure.
    const ownFault =
      event.type === "test:fail" &&
      (event.data.details.error as { failureType?: string }).failureType !== "subtestsFailed";
    const isSkipped = data.skip !== undefined;
    const file = data.file === undefined ? "?" : relative(process.cwd(), data.file);
    const counts = files.get(file) ?? { passed: 0, failed: 0, skipped: 0, milliseconds: 0 };
    files.set(file, counts);
    if (data.nesting === 0 && !isFile) counts.milliseconds += data.details.duration_ms;
    if ((isSuite || isFile) && !ownFault && !isSkipped) continue;
    if (event.type === "test:fail") {
      counts.failed++;
      const { error } = event.data.details;
      yield `\n✗ ${data.name}\n  ${file}:${data.line ?? 0}\n${indent(inspect(error.cause ?? error))}\n\n`;
    } else if (data.skip !== undefined || data.todo !== undefined) {
      counts.skipped++;
      const reason = `${file}: ${typeof data.skip === "string" ? data.skip : data.name}`;
      skips.set(reason, (skips.get(reason) ?? 0) + 1);
    } else {
      counts.passed++;
    }
  }
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const [file, counts] of files) {
    const { passed, failed, skipped, milliseconds } = counts;
    total.passed += passed;
    total.failed += failed;
    total.skipped += skipped;
    const notes = `${failed > 0 ? `, ${failed} FAILED` : ""}${skipped > 0 ? `, ${skipped} skipped` : ""}`;
    yield `${failed > 0 ? "✗" : "✓"} ${file}: ${passed} passed${notes} (${(milliseconds / 1000).toFixed(1)}s)\n`;
  }
  for (const [reason, count] of skips) yield `- skipped ${count}: ${reason}\n`;
  const countsFile = process.env["KILN_TEST_COUNTS"];
  if (countsFile !== undefined) appendFileSync(countsFile, `${JSON.stringify(total)}\n`);
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, "    ");
}
