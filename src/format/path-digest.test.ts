import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import { parseContentAddress } from "./content-address.ts";
import { noReferences, splitReferences, storePathOf, temporaryOutputPath } from "./path-digest.ts";
import { defaultStoreDirectory, parseStorePath } from "./store-path.ts";

const hello = parseStorePath("/opt/zb/store/a3vn6g9g2y76l0py4snl172ixnn39xr1-hello.txt");
const other = parseStorePath("/opt/zb/store/9rgxzwrmhh3z1lqrhx2q22r4fd4bqmqk-abc");
const flat = "fixed:sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s";

describe("paths of objects", () => {
  // Accepted by zb under other store directories.
  for (const [name, ca, expected] of [
    ["hello.txt", "fixed:r:sha256:13i8jpi6gy0rj084jv9zycr4fw70gfvcdyzp939788w3c4i846wn", hello],
    ["abc", flat, other],
    [
      "abc",
      "fixed:r:sha1:309rcyrpi82p2kl4d3iv23lb3i6zq90k",
      "/opt/zb/store/12rxd9mrp73fmzw1bbarl5awvxh23vh3-abc",
    ],
    [
      "abc",
      "fixed:r:sha256:15x98k75izzn5isj4n5fjp7wgaxza9hx8jnmcjh899wk4c9pxril",
      "/opt/zb/store/nmqhn65p9zk18m595i1jlislbimlpf5w-abc",
    ],
  ] as const) {
    test(`${ca.slice(0, 20)}… called ${name} is ${expected}`, () => {
      const path = storePathOf(defaultStoreDirectory, name, parseContentAddress(ca), noReferences);
      assert.equal(path, expected);
    });
  }

  test("with a self reference differ from those without", () => {
    const ca = parseContentAddress(
      "fixed:r:sha256:1dzr40iwg14j889y6y2r7r26f7914825dkims03i12vi71zn4f2h",
    );
    const path = storePathOf(defaultStoreDirectory, "sr", ca, { self: true, others: [] });
    assert.equal(path, "/opt/zb/store/ljph6fjyfrs9kwjqsb7si3jlqhiic3xq-sr");
    assert.notEqual(path, storePathOf(defaultStoreDirectory, "sr", ca, noReferences));
  });

  test("do not depend on the order of references or on repetitions", () => {
    const ca = parseContentAddress(
      "text:sha256:1m2b4bl4qlld5cnwg63hcvzyjw8cla03ynrbz6dqw72igkzqndnn",
    );
    const path = storePathOf(defaultStoreDirectory, "x", ca, {
      self: false,
      others: [hello, other],
    });
    for (const others of [
      [other, hello],
      [other, hello, other],
    ]) {
      assert.equal(storePathOf(defaultStoreDirectory, "x", ca, { self: false, others }), path);
    }
  });

  for (const [ca, self, others] of [
    [`text:sha512:${"0".repeat(103)}`, false, []],
    [`text:sha256:${"0".repeat(52)}`, true, []],
    [flat, true, []],
    [flat, false, [hello]],
    [`fixed:r:sha1:${"0".repeat(32)}`, false, [hello]],
  ] as const) {
    test(`${ca.slice(0, 14)}… cannot have ${self ? "a self reference" : `${others.length} references`}`, () => {
      assert.throws(
        () => storePathOf(defaultStoreDirectory, "x", parseContentAddress(ca), { self, others }),
        (error) => hasCode(error, "ca.references"),
      );
    });
  }

  test("before they are known are temporary", () => {
    const drvPath = parseStorePath("/opt/zb/store/sn4m4g8kl5wsyn5pyim0dx33xfh9hjck-copy.drv");
    assert.equal(
      temporaryOutputPath(drvPath, "out"),
      "/opt/zb/store/00mf3gvsl1l800vmnxs6frp7jy8j16qd-copy",
    );
    assert.match(temporaryOutputPath(drvPath, "dev"), /-copy-dev$/);
    for (const [path, output] of [
      [hello, "out"],
      [drvPath, "a/b"],
      [drvPath, "x".repeat(207)],
    ] as const) {
      assert.throws(
        () => temporaryOutputPath(path, output),
        (error) => hasCode(error, "path.invalid"),
      );
    }
  });

  test("are split from the references to others", () => {
    assert.deepEqual(splitReferences(hello, [hello, other, hello, other]), {
      self: true,
      others: [other],
    });
    assert.deepEqual(splitReferences(other, [hello]), { self: false, others: [hello] });
  });
});
