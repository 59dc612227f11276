import assert from "node:assert/strict";
import { test } from "node:test";
import { KilnError } from "../util/kiln-error.ts";
import {
  ErrorCode,
  fromWireError,
  invalidParams,
  methodNotFound,
  RpcError,
  toWireError,
} from "./errors.ts";

const { signal } = new AbortController();
const reason = new KilnError("request.cancelled", "cancelled");
const aborted = AbortSignal.abort(reason);

test("an error with a wire code is sent with it", () => {
  assert.deepEqual(toWireError(invalidParams("path is bad"), signal), {
    code: -32602,
    message: "path is bad",
  });
  assert.deepEqual(toWireError(new RpcError(ErrorCode.internal, "x"), aborted), {
    code: -32603,
    message: "x",
  });
});

test("every other error is sent as failed, with its message and what Kiln knows of it", () => {
  const input = new KilnError("store.missing", "no object x");
  const data = { code: "store.missing", kind: "input" } as const;
  assert.deepEqual(toWireError(input, signal), { code: -32001, message: "no object x", data });
  const full = new KilnError("disk.full", "full", { kind: "internal", hint: "kiln gc" });
  const sent = toWireError(full, signal);
  assert.deepEqual(sent.data, { code: "disk.full", kind: "internal", hint: "kiln gc" });
  const received = fromWireError("m", sent);
  assert.equal(received.wireCode, -32001);
  assert.deepEqual(
    [received.code, received.kind, received.hint, received.message],
    ["disk.full", "internal", "kiln gc", "full"],
  );
  assert.deepEqual(toWireError(new TypeError("oops"), signal), { code: -32001, message: "oops" });
  assert.deepEqual(toWireError("text", signal), { code: -32001, message: "text" });
});

test("a message is never empty and never endless", () => {
  assert.notEqual(toWireError(new Error(""), signal).message, "");
  assert.notEqual(toWireError("", signal).message, "");
  assert.ok(toWireError(new Error("x".repeat(1_000_000)), signal).message.length < 10_000);
  assert.ok(methodNotFound("x".repeat(1_000_000)).message.length < 300);
});

test("the abort of the request is sent as cancelled, however it comes", () => {
  const wrapped = new KilnError("build.failed", "x", { cause: new Error("y", { cause: reason }) });
  const named = new DOMException("gone", "AbortError");
  for (const error of [reason, wrapped, named]) {
    assert.equal(toWireError(error, aborted).code, -32800);
    assert.equal(toWireError(error, signal).code, -32001, "without an abort it is a failure");
  }
});

test("an error that only came after the abort stays what it is", () => {
  assert.equal(toWireError(new Error("disk full"), aborted).code, -32001);
});

test("the answer's code becomes the error's code", () => {
  const codes = [-32700, -32600, -32601, -32602, -32603, -32800, -32001, 7].map((code) => {
    const error = fromWireError("m", { code, message: "why" });
    assert.equal(error.wireCode, code);
    assert.equal(error.message, "why");
    return error.code;
  });
  assert.deepEqual(codes, [
    "rpc.parse",
    "rpc.request",
    "rpc.method",
    "rpc.params",
    "rpc.internal",
    "rpc.cancelled",
    "rpc.failed",
    "rpc.error",
  ]);
  assert.match(fromWireError("zb.info", { code: 5, message: "" }).message, /zb\.info/);
});
