import assert from "node:assert/strict";
import { test } from "node:test";
import { canBuildFor, hostSystem } from "./system.ts";

const table: [wanted: string, host: string, can: boolean][] = [
  ["builtin", "x86_64-linux", true],
  ["builtin", "riscv64-linux", true],
  ["x86_64-linux", "x86_64-linux", true],
  ["x86_64-unknown-linux", "x86_64-linux", true],
  ["x86_64-linux-gnu", "x86_64-linux", true],
  ["x86_64-pc-linux-musl", "x86_64-linux", true],
  ["amd64-linux", "x86_64-linux", true],
  ["x86_64-linux-", "x86_64-linux", true],
  ["x86_64--linux", "x86_64-linux", true],
  ["x86_64-linux-darwin", "x86_64-linux", true],
  ["x86_64-darwin-linux", "x86_64-linux", false],
  ["x86_64-none-linux", "x86_64-linux", false],
  ["x86_64-none-linux-gnu", "x86_64-linux", true],
  ["x86_64-linux-pc-gnu", "x86_64-linux", false],
  ["x86_64-pc-linux-gnu-elf", "x86_64-linux", false],
  ["x86_64-ios-linux", "x86_64-linux", false],
  ["x86_64-linux-cygwin", "x86_64-linux", true],
  ["x86_64-cygwin-linux", "x86_64-linux", false],
  ["i686-linux", "x86_64-linux", true],
  ["i386-linux", "x86_64-linux", true],
  ["x86_64-linux", "i686-linux", false],
  ["x86-linux", "x86_64-linux", false],
  ["x64-linux", "x86_64-linux", false],
  ["X86_64-linux", "x86_64-linux", false],
  ["x86_64-Linux", "x86_64-linux", false],
  ["x86_64", "x86_64-linux", false],
  ["linux", "x86_64-linux", false],
  ["-linux", "x86_64-linux", false],
  ["", "x86_64-linux", false],
  ["x86_64-", "x86_64-linux", false],
  ["x86_64-unknown", "x86_64-linux", false],
  ["x86_64-windows", "x86_64-linux", false],
  ["aarch64-linux", "x86_64-linux", false],
  ["aarch64-apple-macos", "x86_64-linux", false],
  ["arm-linux", "aarch64-linux", true],
  ["arm64-linux", "aarch64-linux", true],
  ["aarch64-linux", "arm-linux", false],
  ["riscv32-linux", "riscv64-linux", true],
  ["aarch64-darwin", "aarch64-apple-macos", true],
  ["x86_64-apple-macos", "aarch64-apple-macos", false],
  ["x86_64-pc-mingw32", "x86_64-pc-windows", true],
  ["ppc64-linux", "ppc64-linux", true],
  ["ppc64-linux", "x86_64-linux", false],
  ["x64-freebsd", "x64-freebsd", true],
];

for (const [wanted, host, can] of table) {
  test(`a ${host} host ${can ? "builds" : "does not build"} for ${JSON.stringify(wanted)}`, () => {
    assert.equal(canBuildFor(wanted, host), can);
  });
}

test("the host is named as zb names it", () => {
  assert.equal(hostSystem("linux", "x64"), "x86_64-linux");
  assert.equal(hostSystem("linux", "arm64"), "aarch64-linux");
  assert.equal(hostSystem("darwin", "arm64"), "aarch64-apple-macos");
  assert.equal(hostSystem("win32", "x64"), "x86_64-pc-windows");
  assert.equal(hostSystem("freebsd", "riscv64"), "riscv64-freebsd");
});
