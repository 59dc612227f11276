// What Prometheus is told, read by a parser of its format, and what the documents say of it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import parse from "parse-prometheus-text-format";
import { derivationPath } from "../src/format/derivation/print.ts";
import { WebStage } from "./support/web-stage.ts";

interface Sample {
  readonly value?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly buckets?: Readonly<Record<string, string>>;
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly metrics: readonly Sample[];
}

const document = fileURLToPath(new URL("../docs/metrics.md", import.meta.url));

describe("/metrics", () => {
  let stage: WebStage;
  before(async () => {
    stage = await WebStage.open({ jobs: 3 });
  });
  after(async () => await stage[Symbol.asyncDispose]());

  async function scrapedText(): Promise<string> {
    const response = await fetch(stage.url("/metrics"));
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
    return await response.text();
  }

  async function scrape(): Promise<ReadonlyMap<string, Family>> {
    const families: readonly Family[] = parse(await scrapedText());
    return new Map(families.map((family) => [family.name, family]));
  }

  /** The value of a metric, of those with these labels. */
  function valueOf(
    families: ReadonlyMap<string, Family>,
    name: string,
    labels: Readonly<Record<string, string>> = {},
  ): number {
    const family = families.get(name);
    assert.ok(family, `there is no ${name}`);
    const found = family.metrics.find((sample) =>
      Object.entries(labels).every(([label, value]) => sample.labels?.[label] === value),
    );
    return Number(found?.value ?? 0);
  }

  test("tells of the queue, of what runs, of durations, cache hits, logs and the store", async () => {
    const one = stage.derivation("one", "echo hello; echo 1 > $out");
    const two = stage.derivation("two", "exit 1", { inputs: [derivationPath(one)] });
    await stage.built([one]);
    await stage.built([one, two]);
    const pipe = await stage.pipe();
    const slow = stage.derivation("slow", `read -r line < ${pipe.path}; echo > $out`);
    const last = stage.derivation("last", "echo > $out", { inputs: [derivationPath(slow)] });
    const id = await stage.build([slow, last]);
    for await (const event of stage.server.builds.watch(id, 0)) {
      if (event.type === "result.started") break;
    }
    const now = await scrape();
    assert.equal(valueOf(now, "kiln_jobs"), 3);
    assert.equal(valueOf(now, "kiln_jobs_running"), 1);
    assert.equal(valueOf(now, "kiln_builds_running"), 1);
    assert.equal(valueOf(now, "kiln_results_waiting"), 1);
    assert.equal(valueOf(now, "kiln_builds_total", { state: "built" }), 1);
    assert.equal(valueOf(now, "kiln_builds_total", { state: "failed" }), 1);
    assert.equal(valueOf(now, "kiln_results_total", { state: "reused" }), 1);
    assert.equal(valueOf(now, "kiln_cache_hits_total", { kind: "reused" }), 1);
    // The parser puts the histograms of all states together: their lines are looked at themselves.
    const text = await scrapedText();
    assert.match(text, /^kiln_builder_duration_seconds_count\{state="built"\} 1$/m);
    assert.match(text, /^kiln_builder_duration_seconds_bucket\{le="\+Inf",state="failed"\} 1$/m);
    assert.match(text, /^kiln_build_duration_seconds_sum\{state="failed"\} 0\.\d+$/m);
    assert.ok(valueOf(now, "kiln_log_bytes_total") >= "hello\n".length);
    assert.equal(valueOf(now, "kiln_store_added_objects_total"), 1);
    assert.ok(valueOf(now, "kiln_store_added_bytes_total") > 100);
    assert.equal(valueOf(now, "kiln_store_objects"), 5);
    assert.ok(valueOf(now, "kiln_store_nar_bytes") > 500);
    assert.ok(valueOf(now, "kiln_store_disk_free_bytes") > 0);
    const { type, metrics } = now.get("kiln_builder_duration_seconds") ?? { metrics: [] };
    assert.equal(type, "HISTOGRAM");
    assert.equal(metrics[0]?.buckets?.["+Inf"], "1");
    await pipe.write("go\n");
    await stage.server.builds.ended(id);
  });

  test("tells what collections removed, and when", async () => {
    assert.equal(valueOf(await scrape(), "kiln_collection_last_end_time_seconds"), 0);
    const { count, bytes } = await stage.server.store.collect({ olderThan: 0 });
    await stage.server.store.verify();
    const now = await scrape();
    assert.ok(count > 0);
    assert.equal(valueOf(now, "kiln_collections_total"), 1);
    assert.equal(valueOf(now, "kiln_collected_objects_total"), count);
    assert.equal(valueOf(now, "kiln_collected_bytes_total"), bytes);
    assert.equal(now.get("kiln_collected_bytes_total")?.type, "COUNTER");
    const ended = valueOf(now, "kiln_collection_last_end_time_seconds");
    assert.ok(Math.abs(Date.now() / 1000 - ended) < 60);
    assert.ok(valueOf(now, "kiln_verification_last_end_time_seconds") >= ended);
    assert.equal(valueOf(now, "kiln_verification_last_damaged_objects"), 0);
    // Scraped twice, a counter does not count twice.
    assert.equal(valueOf(await scrape(), "kiln_collections_total"), 1);
  });

  test("has names that say what they are, and a document that names them all", async () => {
    const families = [...(await scrape()).values()];
    for (const { name, help, type } of families) {
      assert.match(name, /^(?:kiln|process)_[a-z_]+$/);
      assert.ok(help.length > 10, name);
      assert.equal(name.endsWith("_total"), type === "COUNTER", `${name} is a ${type}`);
    }
    const documented = [...readFileSync(document, "utf8").matchAll(/^\| `(\w+)/gm)];
    assert.deepEqual(
      documented.map(([, name]) => name).toSorted(),
      families.map(({ name }) => name).toSorted(),
    );
  });
});
