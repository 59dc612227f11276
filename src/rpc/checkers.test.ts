import assert from "node:assert/strict";
import { test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import { checkParams, checkResult, isMethod } from "./checkers.ts";
import { RpcError } from "./errors.ts";
import { reuseOf, type Method } from "./protocol.ts";

const object = "/opt/zb/store/mv4z5c5znjdnc40fvqfl1qknszgbdyxd-hello.txt";
const drv = "/opt/zb/store/vwvrlwh9gybf8nnsawbw89niwh5dxyik-hello.txt.drv";
const foreign = "/nix/store/mv4z5c5znjdnc40fvqfl1qknszgbdyxd-hello.txt";
const inside = `${object}/bin`;
const key = { format: "ed25519", publicKey: "AAAA" };

const accepted: readonly [method: Method, params: unknown, checked: object][] = [
  ["zb.exists", { path: "anything at all" }, { path: "anything at all" }],
  ["zb.exists", {}, { path: "" }],
  ["zb.exists", null, { path: "" }],
  ["zb.exists", { path: null }, { path: "" }],
  ["zb.exists", { PATH: "x", more: 1 }, { path: "" }],
  ["zb.exists", { path: "\udc80" }, { path: "\ufffd" }],
  ["zb.info", { path: object }, { path: object }],
  ["zb.info", { path: foreign }, { path: foreign }],
  ["zb.info", { PATH: object }, {}],
  ["zb.info", { path: null }, {}],
  ["zb.info", null, {}],
  ["zb.info", { path: `/opt//zb/./store/x/../${object.slice(14)}/` }, { path: object }],
  ["zb.export", {}, { paths: [] }],
  ["zb.export", null, { paths: [] }],
  ["zb.export", { paths: null, excludeReferences: null }, { paths: [] }],
  [
    "zb.export",
    { paths: [object, object], excludeReferences: true },
    { paths: [object, object], excludeReferences: true },
  ],
  ["zb.expand", { drvPath: drv }, { drvPath: drv }],
  ["zb.expand", { drvPath: drv, tempDir: null, reuse: null }, { drvPath: drv, reuse: null }],
  ["zb.expand", { drvPath: drv, tempDir: "" }, { drvPath: drv, tempDir: "" }],
  ["zb.realize", { drvPath: [drv] }, { drvPath: [drv] }],
  ["zb.realize", { drvPath: [drv, drv] }, { drvPath: [drv, drv] }],
  [
    "zb.realize",
    { drvPath: [drv], keepFailed: true, reuse: { all: true, other: 1 }, keepGoing: false },
    { drvPath: [drv], keepFailed: true, reuse: { all: true }, keepGoing: false },
  ],
  [
    "zb.realize",
    { drvPath: [drv], targets: [{ name: "a", drvPath: drv }], reuse: { publicKeys: [key] } },
    { drvPath: [drv], targets: [{ name: "a", drvPath: drv }], reuse: { publicKeys: [key] } },
  ],
  ["zb.getBuild", { buildID: "nonsense" }, { buildID: "nonsense" }],
  ["zb.getBuild", {}, { buildID: "" }],
  ["zb.getBuildResult", { buildID: "x", drvPath: object }, { buildID: "x", drvPath: object }],
  ["zb.cancelBuild", { buildID: null }, { buildID: "" }],
  ["zb.readLog", { buildID: "x", drvPath: drv }, { buildID: "x", drvPath: drv }],
  ["zb.readLog", { buildID: "x" }, { buildID: "x" }],
  [
    "zb.readLog",
    { buildID: "x", rangeStart: -1, rangeEnd: -2 },
    { buildID: "x", rangeStart: -1, rangeEnd: -2 },
  ],
  [
    "zb.readLog",
    { buildID: "x", drvPath: drv, rangeStart: null, rangeEnd: null },
    { buildID: "x", drvPath: drv },
  ],
  [
    "zb.readLog",
    { buildID: "x", drvPath: drv, rangeStart: 2 ** 62, rangeEnd: null },
    { buildID: "x", drvPath: drv, rangeStart: 2 ** 62 },
  ],
  ["zb.nop", undefined, {}],
  ["zb.nop", [5], {}],
  ["zb.fetch", { paths: [object] }, { paths: [object] }],
  ["zb.fetch", {}, { paths: [] }],
  ["kiln.hello", undefined, {}],
  ["kiln.missing", { paths: [object] }, { paths: [object] }],
  ["kiln.importReport", undefined, {}],
  ["kiln.delete", { paths: [object], recursive: true }, { paths: [object], recursive: true }],
  ["kiln.objects", undefined, {}],
  ["kiln.objects", { after: object, limit: 2 }, { after: object, limit: 2 }],
  ["kiln.closure", { paths: [object], referrers: true }, { paths: [object], referrers: true }],
  ["kiln.builds", undefined, {}],
  ["kiln.builds", { limit: 3, running: true }, { limit: 3, running: true }],
  ["kiln.results", { buildID: "x" }, { buildID: "x" }],
  ["kiln.watch", { buildID: "x", after: 7 }, { buildID: "x", after: 7 }],
];

/** Members that are undefined are as good as missing. */
const present = (params: object): object =>
  Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined));

for (const [method, params, checked] of accepted) {
  test(`${method} takes ${JSON.stringify(params) ?? "no params"}`, () => {
    const seen = present(checkParams(method, params));
    assert.deepEqual(JSON.parse(JSON.stringify(seen)), checked);
    assert.deepEqual(Object.keys(seen).toSorted(), Object.keys(checked).toSorted());
  });
}

const refused: readonly [method: Method, params: unknown][] = [
  ...(["zb.exists", "zb.info", "zb.export", "zb.expand", "zb.realize", "zb.getBuild"] as const).map(
    (method): [Method, unknown] => [method, undefined],
  ),
  ...(
    ["zb.getBuildResult", "zb.cancelBuild", "zb.readLog", "zb.fetch", "kiln.missing"] as const
  ).map((method): [Method, unknown] => [method, undefined]),
  ["zb.exists", []],
  ["zb.exists", 5],
  ["zb.exists", "x"],
  ["zb.exists", { path: 5 }],
  ["zb.info", { path: "" }],
  ["zb.info", { path: "relative" }],
  ["zb.info", { path: inside }],
  ["zb.export", { paths: ["x"] }],
  ["zb.export", { paths: [null] }],
  ["zb.export", { paths: object }],
  ["zb.export", { paths: { 0: object, length: 1 } }],
  ["zb.export", { paths: [], excludeReferences: 1 }],
  ["zb.expand", {}],
  ["zb.expand", { drvPath: object }],
  ["zb.expand", { drvPath: [drv] }],
  ["zb.expand", { drvPath: drv, tempDir: 5 }],
  ["zb.realize", {}],
  ["zb.realize", null],
  ["zb.realize", { drvPath: null }],
  ["zb.realize", { drvPath: [] }],
  ["zb.realize", { drvPath: drv }],
  ["zb.realize", { drvPath: [drv, object] }],
  ["zb.realize", { drvPath: [`${drv}/x`] }],
  ["zb.realize", { drvPath: [null] }],
  ["zb.realize", { drvPath: [drv], keepFailed: "x" }],
  ["zb.realize", { drvPath: [drv], reuse: 5 }],
  ["zb.realize", { drvPath: [drv], reuse: [] }],
  ["zb.realize", { drvPath: [drv], reuse: { all: 1 } }],
  ["zb.realize", { drvPath: [drv], reuse: { publicKeys: [{ ...key, format: "x" }] } }],
  ["zb.realize", { drvPath: [drv], targets: [{ name: "a" }] }],
  ["zb.realize", { drvPath: [drv], targets: [{ name: "\u001b[2J", drvPath: drv }] }],
  ["zb.realize", { drvPath: [drv], targets: [{ name: "a\nb", drvPath: drv }] }],
  ["zb.realize", { drvPath: [drv], targets: [{ name: "a".repeat(1001), drvPath: drv }] }],
  ["zb.getBuild", { buildID: 5 }],
  ["zb.getBuildResult", { buildID: "x" }],
  ["zb.getBuildResult", { buildID: "x", drvPath: null }],
  ["zb.getBuildResult", { buildID: "x", drvPath: "rel" }],
  ["zb.readLog", { buildID: "x", drvPath: drv, rangeStart: -1 }],
  ["zb.readLog", { buildID: "x", drvPath: drv, rangeStart: 1.5 }],
  ["zb.readLog", { buildID: "x", drvPath: drv, rangeStart: "1" }],
  ["zb.readLog", { buildID: "x", drvPath: drv, rangeStart: 2 ** 63 }],
  ["zb.readLog", { buildID: "x", drvPath: drv, rangeStart: 3, rangeEnd: 3 }],
  ["zb.readLog", { buildID: "x", drvPath: drv, rangeEnd: 0 }],
  ["zb.readLog", { buildID: "x", drvPath: drv, rangeEnd: -1 }],
  ["zb.fetch", []],
  ["kiln.builds", { limit: -1 }],
  ["kiln.results", {}],
  ["kiln.watch", { buildID: "x", after: 0.5 }],
];

for (const [method, params] of refused) {
  test(`${method} refuses ${JSON.stringify(params) ?? "a message without params"}`, () => {
    assert.throws(
      () => checkParams(method, params),
      (error) => {
        assert.ok(error instanceof RpcError);
        assert.equal(error.wireCode, -32602);
        assert.ok(error.message.startsWith(`${method}: `));
        return true;
      },
    );
  });
}

test("a fault says where it is", () => {
  assert.throws(
    () => checkParams("zb.realize", { drvPath: [drv, "x"] }),
    /params\.drvPath\.1: .*"x"/,
  );
  assert.throws(
    () => checkParams("zb.realize", { drvPath: [object] }),
    /hello\.txt is not a derivation/,
  );
  assert.throws(() => checkParams("zb.exists", { path: 5 }), /params\.path: expected string/);
  assert.throws(() => checkParams("zb.exists", 5), /params: expected object/);
});

test("names of JavaScript's objects do no harm", () => {
  const params: unknown = JSON.parse('{"__proto__":{"path":"x"},"constructor":5,"path":"y"}');
  assert.deepEqual(checkParams("zb.exists", params), { path: "y" });
  assert.deepEqual(checkParams("zb.exists", JSON.parse('{"__proto__":{"path":"x"}}')), {
    path: "",
  });
});

test("the methods are those of the protocol and no others", () => {
  assert.ok(isMethod("zb.exists"));
  for (const name of ["zb.Exists", "", "__proto__", "constructor", "toString", "hasOwnProperty"]) {
    assert.ok(!isMethod(name));
  }
});

test("the presence of reuse tells the clients apart", () => {
  assert.equal(reuseOf({}), "all");
  assert.equal(reuseOf({ reuse: null }), "none");
  assert.equal(reuseOf({ reuse: {} }), "none");
  assert.equal(reuseOf({ reuse: { all: false } }), "none");
  assert.equal(reuseOf({ reuse: { publicKeys: [] } }), "none");
  assert.equal(reuseOf({ reuse: { all: true, publicKeys: [] } }), "all");
  const publicKeys = [{ format: "ed25519", publicKey: "AAAA" }] as const;
  assert.deepEqual(reuseOf({ reuse: { publicKeys } }), { publicKeys });
});

const info = { narHash: "sha256-x", narSize: 128, references: [object], ca: "text:sha256:x" };
const result = {
  drvPath: drv,
  status: "success",
  outputs: [{ name: "out", path: object }],
  logSize: 9,
};
const build = { id: "x", status: "active", startedAt: "t", endedAt: null, results: [result] };

const answers: readonly [method: Method, result: unknown][] = [
  ["zb.exists", false],
  ["zb.info", { info: null }],
  ["zb.info", { info }],
  ["zb.nop", null],
  ["zb.getBuild", build],
  ["zb.getBuild", { ...build, more: { new: true } }],
  ["zb.getBuild", { ...build, results: [{ ...result, drvHash: null }] }],
  ["zb.getBuildResult", { ...result, outputs: [{ name: "out", path: null, signatures: [] }] }],
  ["zb.readLog", { eof: true }],
  ["zb.fetch", { found: { [object]: info } }],
];

for (const [method, answer] of answers) {
  test(`the answer ${JSON.stringify(answer)} to ${method} is taken whole`, () => {
    assert.deepEqual(checkResult(method, answer), answer);
  });
}

test("an environment may have the name __proto__", () => {
  const expand: unknown = JSON.parse('{"builder":"b","args":[],"env":{"__proto__":"x","A":"y"}}');
  const { expand: checked } = checkResult("zb.getBuild", { ...build, expand });
  assert.deepEqual(Object.entries(checked?.env ?? {}), [
    ["__proto__", "x"],
    ["A", "y"],
  ]);
});

test("an answer of another shape is the server's fault", () => {
  for (const [method, answer] of [
    ["zb.exists", "yes"],
    ["zb.info", null],
    ["zb.info", { info: { ...info, references: null } }],
    ["zb.getBuild", { ...build, status: "fine" }],
    ["kiln.hello", { name: "zb" }],
  ] as const) {
    assert.throws(
      () => checkResult(method, answer),
      (error) => hasCode(error, "rpc.internal") && error.kind === "internal",
    );
  }
});
