import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bytesToString, stringToBytes } from "../../util/byte-string.ts";
import { printFstab } from "./fstab.ts";

test("a mount is a line of four fields", () => {
  const mounts = [
    { source: "/a", target: "/b", type: "none", options: ["bind", "ro"] },
    { source: "proc", target: "/c", type: "proc", options: ["nosuid"] },
  ];
  assert.equal(printFstab(mounts), "/a /b none bind,ro\nproc /c proc nosuid\n");
});

test("blanks, line ends, backslashes and hashes in paths are written in octal", () => {
  const [line] = printFstab([
    { source: "/a b\t\n\\#", target: "/é", type: "none", options: ["bind"] },
  ]).split("\n");
  assert.equal(line, "/a\\040b\\011\\012\\134\\043 /é none bind");
});

test("whatever bytes a path has, they are read back as they were", () => {
  const path = fc
    .uint8Array({ minLength: 1 })
    .map((bytes) => bytesToString(bytes.filter((byte) => byte !== 0)));
  fc.assert(
    fc.property(path, path, (source, target) => {
      const text = stringToBytes(
        printFstab([{ source, target, type: "none", options: ["bind"] }]),
      ).toString("latin1");
      assert.ok(text.endsWith("\n"));
      const fields = text.slice(0, -1).split(" ");
      assert.equal(fields.length, 4);
      const read = fields.map((field) =>
        bytesToString(
          Buffer.from(
            field.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
              String.fromCharCode(Number.parseInt(octal, 8)),
            ),
            "latin1",
          ),
        ),
      );
      assert.deepEqual(read, [source, target, "none", "bind"]);
    }),
  );
});
