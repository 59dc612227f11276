import assert from "node:assert/strict";
import { test } from "node:test";
import { callFilter, machineCalled } from "./filter.ts";

const names = { 0x7fff0000: "allowed", 0x00050026: "ENOSYS", 0x00050061: "EAFNOSUPPORT" } as const;

/** What the kernel would say: an interpreter of the four operations that there are. */
function answerOf(machine: string, architecture: number, call: number, argument = 0): string {
  const known = machineCalled(machine);
  assert.ok(known !== undefined);
  const filter = callFilter(known);
  const data = new Map([
    [0, call],
    [4, architecture],
    [16, argument],
  ]);
  let value = 0;
  for (let at = 0; at < filter.length; at += 8) {
    const operand = filter.readUInt32LE(at + 4);
    const jump = (isTrue: boolean): number => filter.readUInt8(at + (isTrue ? 2 : 3)) * 8;
    switch (filter.readUInt16LE(at)) {
      case 0x20:
        value = data.get(operand) ?? assert.fail(`loads ${operand}`);
        break;
      case 0x15:
        at += jump(value === operand);
        break;
      case 0x35:
        at += jump(value >= operand);
        break;
      case 0x06:
        return Object.entries(names).find(([number]) => Number(number) === operand)?.[1] ?? "?";
      default:
        assert.fail("no such operation");
    }
  }
  return assert.fail("runs over its end");
}

const [x64, x86, arm64, arm] = [0xc000003e, 0x40000003, 0xc00000b7, 0x40000028] as const;

for (const [what, machine, architecture, call, argument, answer] of [
  ["read", "x64", x64, 0, 3, "allowed"],
  ["clone", "x64", x64, 56, 0, "allowed"],
  ["keyctl", "x64", x64, 250, 0, "ENOSYS"],
  ["io_uring_register", "x64", x64, 427, 0, "ENOSYS"],
  ["a call of x32", "x64", x64, 0x40000027, 0, "ENOSYS"],
  ["a socket of the Unix family", "x64", x64, 41, 1, "allowed"],
  ["a socket for IPv6", "x64", x64, 41, 10, "allowed"],
  ["a socket of virtual machines", "x64", x64, 41, 40, "EAFNOSUPPORT"],
  ["a pair of sockets", "x64", x64, 53, 1, "allowed"],
  ["connect, whatever the first argument", "x64", x64, 42, 40, "allowed"],
  ["keyctl of 32 bits", "x64", x86, 288, 0, "ENOSYS"],
  ["mkdirat of 32 bits, which is another's number", "x64", x86, 296, 0, "allowed"],
  ["a socket of virtual machines of 32 bits", "x64", x86, 359, 40, "EAFNOSUPPORT"],
  ["socketcall that makes a socket", "x64", x86, 102, 1, "ENOSYS"],
  ["socketcall that connects", "x64", x86, 102, 3, "allowed"],
  ["a call of another machine", "x64", arm64, 63, 0, "ENOSYS"],
  ["read", "arm64", arm64, 63, 0, "allowed"],
  ["keyctl", "arm64", arm64, 219, 0, "ENOSYS"],
  ["a socket of virtual machines", "arm64", arm64, 198, 40, "EAFNOSUPPORT"],
  ["bpf of 32 bits", "arm64", arm, 386, 0, "ENOSYS"],
  ["a call of another machine", "arm64", x64, 0, 0, "ENOSYS"],
] as const) {
  test(`${what} on ${machine} is ${answer}`, () => {
    assert.equal(answerOf(machine, architecture, call, argument), answer);
  });
}

test("there is no filter for machines that we do not know", () => {
  assert.equal(machineCalled("riscv64"), undefined);
});
