import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventJsonSchema, eventTypes } from "./event-schema.ts";

const docs = fileURLToPath(new URL("../../docs/", import.meta.url));

test("docs/events.schema.json is this schema (node scripts/event-schema.ts writes it)", () => {
  const written: unknown = JSON.parse(readFileSync(`${docs}events.schema.json`, "utf8"));
  assert.deepEqual(written, JSON.parse(JSON.stringify(eventJsonSchema())));
});

test("docs/events.md and the types have the same events", () => {
  const described = readFileSync(`${docs}events.md`, "utf8").matchAll(/^\*\*([a-z.]+)\*\*/gm);
  assert.deepEqual(Array.from(described, ([, type]) => type).toSorted(), eventTypes.toSorted());
  const types = readFileSync(new URL("events.ts", import.meta.url), "utf8").matchAll(
    /readonly type: "([a-z.]+)"/g,
  );
  assert.deepEqual(Array.from(types, ([, type]) => type).toSorted(), eventTypes.toSorted());
});
