import assert from "node:assert/strict";
import { test } from "node:test";
import { greet, isLanguage, languages } from "./greet.ts";

test("greets by the time of day", () => {
  assert.equal(greet(["Ada"], 8), "Good morning, Ada!");
  assert.equal(greet(["Ada"], 12), "Good day, Ada!");
  assert.equal(greet(["Ada"], 20), "Good evening, Ada!");
});

test("greets several people in their language", () => {
  assert.equal(greet(["Ada", "Grace", "Lin"], 20, "de"), "Guten Abend, Ada, Grace und Lin!");
  assert.equal(greet(["Ada", "Grace"], 8, "fr"), "Bonjour, Ada et Grace!");
});

test("greets everybody when nobody is named", () => {
  assert.equal(greet([], 12), "Good day!");
  assert.equal(greet(["  "], 12), "Good day!");
});

test("knows its languages", () => {
  assert.ok(languages.every(isLanguage));
  assert.ok(!isLanguage("xx"));
});
