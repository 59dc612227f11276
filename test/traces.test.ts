// Builds as OpenTelemetry spans, seen by an exporter of the real SDK.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SpanStatusCode, trace } from "@opentelemetry/api";
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  InMemorySpanExporter,
  type ReadableSpan,
} from "@opentelemetry/sdk-trace-base";
import { derivationPath } from "../src/format/derivation/print.ts";
import { traceBuilds } from "../src/server/traces.ts";
import { WebStage } from "./support/web-stage.ts";

const milliseconds = ([seconds, nanoseconds]: readonly [number, number]): number =>
  seconds * 1000 + nanoseconds / 1e6;

test("without an OpenTelemetry SDK nothing is followed", async () => {
  const builds = {
    subscribe: () => {
      throw new Error("followed");
    },
  };
  assert.equal(await traceBuilds(builds), undefined);
});

test("a build is a span, and each derivation that is built is one below it; they are sent before the server's end", async () => {
  const exporter = new InMemorySpanExporter();
  // Its own pace is far too slow: only what is asked for at the end gets there.
  const processor = new BatchSpanProcessor(exporter, { scheduledDelayMillis: 3_600_000 });
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [processor] }));
  let spans: readonly ReadableSpan[] = [];
  {
    await using stage = await WebStage.open();
    const lib = stage.derivation("lib", "echo lib > $out");
    await stage.built([lib]);
    const app = stage.derivation("app", "sleep 0.2; exit 3", { inputs: [derivationPath(lib)] });
    const pack = stage.derivation("pack", "echo > $out", { inputs: [derivationPath(app)] });
    const id = await stage.built([lib, app, pack]);
    assert.equal(exporter.getFinishedSpans().length, 0);
    await stage.server.close();
    spans = exporter.getFinishedSpans();
    const names = spans.map(({ name }) => name);
    assert.deepEqual(names, ["derivation lib", "build lib", "derivation app", "build pack"]);
    const [, , derivation, build] = spans;
    assert.equal(build?.attributes["kiln.build.id"], id);
    assert.deepEqual(build?.attributes["kiln.build.targets"], ["pack"]);
    assert.equal(build?.attributes["kiln.plan.build"], 2);
    assert.equal(build?.attributes["kiln.plan.reuse"], 1);
    assert.equal(build?.attributes["kiln.results.skipped"], 1);
    assert.equal(build?.attributes["kiln.state"], "failed");
    assert.deepEqual(build?.status, { code: SpanStatusCode.ERROR, message: "failed" });
    assert.equal(derivation?.parentSpanContext?.spanId, build?.spanContext().spanId);
    assert.equal(derivation?.spanContext().traceId, build?.spanContext().traceId);
    assert.equal(derivation?.attributes["kiln.derivation.path"], derivationPath(app));
    assert.equal(derivation?.attributes["process.exit.code"], 3);
    assert.equal(derivation?.attributes["error.type"], "builder.exit");
    assert.equal(derivation?.attributes["kiln.reason"], "neverRealised");
    assert.equal(derivation?.status.code, SpanStatusCode.ERROR);
    const took = milliseconds(derivation?.duration ?? [0, 0]);
    assert.ok(took >= 190, `${took} ms`);
    assert.ok(milliseconds(build?.duration ?? [0, 0]) >= took);
    const outputs = spans[0]?.attributes["kiln.outputs"];
    assert.ok(Array.isArray(outputs) && String(outputs[0]).endsWith("-lib"), String(outputs));
  }
});
