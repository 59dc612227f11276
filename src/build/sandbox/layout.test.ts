import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultStoreDirectory, parseStoreDirectory } from "../../format/store-path.ts";
import { layoutOf, ownPaths, storeInTmp } from "./layout.ts";

const identity = { uid: 1000, gid: 100 };
const common = { storeDirectory: defaultStoreDirectory, paths: [], identity, network: false };

test("a directory comes before what is in it, and nothing comes twice", () => {
  const paths = [
    { inside: "/a/b/c", type: "file", source: "/x" },
    { inside: "/a/d", type: "link", target: "/y" },
    { inside: "/etc/ssl/certs", type: "directory", source: "/z" },
  ] as const;
  const layout = [...layoutOf({ ...common, paths }).keys()];
  for (const [index, path] of layout.entries()) {
    const parent = path.slice(0, path.lastIndexOf("/"));
    assert.ok(parent === "" || layout.indexOf(parent) < index, path);
  }
  assert.equal(new Set(layout).size, layout.length);
  assert.ok(layout.includes("/opt/zb/store") && layout.includes("/a/b/c"));
});

test("everything a sandbox calls its own is in it", () => {
  const layout = layoutOf({ ...common, network: true });
  assert.deepEqual(
    ownPaths.filter((path) => !layout.has(path)),
    [],
  );
});

test("the builder is known by name, with the ids it has", () => {
  const layout = layoutOf(common);
  assert.deepEqual(layout.get("/etc/passwd"), {
    type: "file",
    content:
      "root:x:0:0:Nix build user:/build:/noshell\n" +
      "zbld:x:1000:100:zb build user:/build:/noshell\n" +
      "nobody:x:65534:65534:Nobody:/:/noshell\n",
  });
  assert.deepEqual(layout.get("/etc/group"), {
    type: "file",
    content: "root:x:0:\nzbld:!:100:\nnogroup:x:65534:\n",
  });
});

test("only builders with a network are told how to resolve names", () => {
  assert.ok(!layoutOf(common).has("/etc/nsswitch.conf"));
  assert.ok(layoutOf({ ...common, network: true }).has("/etc/nsswitch.conf"));
});

test("a store directory in /tmp is made there", () => {
  const storeDirectory = parseStoreDirectory("/tmp/x/store");
  assert.equal(storeInTmp(storeDirectory), "/x/store");
  assert.ok(!layoutOf({ ...common, storeDirectory }).has("/tmp/x"));
  assert.equal(storeInTmp(defaultStoreDirectory), undefined);
});
