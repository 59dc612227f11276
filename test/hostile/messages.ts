/** Hostile messages: what is no frame, no JSON-RPC, or has parameters that nobody should send. */
import { frame, request, rpcType } from "../../src/rpc/wire.test.support.ts";

export interface Case {
  readonly name: string;
  readonly bytes: Buffer;
  /** `closed`: the connection ends, and nothing is said. Otherwise it goes on, and this is the code of the error. */
  readonly outcome: "closed" | number;
}

const nop = JSON.stringify({ jsonrpc: "2.0", method: "zb.nop", id: "n", params: {} });

function closed(name: string, ...parts: (string | Buffer)[]): Case {
  const bytes = Buffer.concat(parts.map((part) => Buffer.from(part as string)));
  return { name, bytes, outcome: "closed" };
}

function withLength(length: string): string {
  return `Content-Length: ${length}\r\nContent-Type: ${rpcType}\r\n\r\n`;
}

const lengths = ["-1", "1e3", "0x10", "12x", " 1 2", "1,000", "١٢", "NaN", "1.0", "--1", "+-1"];
const tooLong = ["1048577", "4294967296", "9007199254740993", "9223372036854775807"];
const beyond = ["9223372036854775808", "18446744073709551616", "9".repeat(400)];

export const frames: readonly Case[] = [
  ...lengths.map((text) => closed(`Content-Length ${text}`, withLength(text), nop)),
  ...[...tooLong, ...beyond].map((text) => closed(`Content-Length ${text}`, withLength(text), nop)),
  closed("no length", `Content-Type: ${rpcType}\r\n\r\n`, nop),
  closed("no header", "\r\n\r\n", nop),
  closed("no type and no length", "X: y\r\n\r\n", nop),
  closed("another type without length", "Content-Type: text/html\r\n\r\n<html>"),
  closed("a type in capitals without length", `Content-Type: ${rpcType.toUpperCase()}\r\n\r\n`),
  closed("a header of 65 fields", "A: b\r\n".repeat(65), withLength("2"), "{}"),
  closed("a header of 64 KiB in one field", `A: ${"b".repeat(65_536)}\r\n\r\n`),
  closed("a header of 64 KiB in continued lines", `A: b\r\n${" c\r\n".repeat(20_000)}\r\n`),
  closed("a header line that never ends", "A".repeat(200_000)),
  closed("a header line without colon", "Content-Length 2\r\n\r\n{}"),
  closed("a line that begins with a colon", ": 2\r\n\r\n{}"),
  closed("a first line that begins with a blank", ` Content-Length: 2\r\n\r\n{}`),
  closed("a NUL in a name", "Content\0Length: 2\r\n\r\n{}"),
  closed("a NUL in a value", `Content-Length: 2\0\r\nContent-Type: ${rpcType}\r\n\r\n{}`),
  closed("an escape character in a value", `A: \u001b[31m\r\n${withLength("2")}{}`),
  closed("a carriage return in a value", `A: b\rc\r\n${withLength("2")}{}`),
  closed("a name that is UTF-8", `Länge: 2\r\n${withLength("2")}{}`),
  closed("HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
  closed("HTTP's post", "POST /rpc HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"),
  closed("a TLS hello", Buffer.from("16030100a5010000a10303", "hex"), Buffer.alloc(160, 7), "\n\n"),
  closed("ssh", "SSH-2.0-OpenSSH_9.9\r\n"),
  closed("zeros", Buffer.alloc(70_000)),
  closed("ones", Buffer.alloc(70_000, 0xff)),
  closed("line feeds", "\n".repeat(10)),
  closed("a header that is cut", "Content-Length: 5"),
  closed("a body that is cut", withLength("100"), "{"),
  closed("a skipped body that is cut", "Content-Type: x\r\nContent-Length: 100\r\n\r\nabc"),
];

/** An error for a message whose id cannot be known has the id null. */
function refused(name: string, body: string | Buffer, outcome: number): Case {
  return { name, bytes: frame(body), outcome };
}

const parse = -32700;
const invalid = -32600;
const noMethod = -32601;
const badParams = -32602;
const message = (members: object): string => JSON.stringify({ jsonrpc: "2.0", ...members });

const malformed: readonly Case[] = [
  ...["", "{", "}", "nul", "[1", '"', "{'a':1}", "{} {}", "\u0000", "{,}", "[]]", "\ufeff{}"].map(
    (text) => refused(`the JSON ${JSON.stringify(text)}`, text, parse),
  ),
  refused("JSON that is no UTF-8", Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), parse),
  refused("an array", "[]", parse),
  refused("a batch", `[${nop},${nop}]`, parse),
  ...["1", '"x"', "true"].map((text) => refused(`a bare ${text}`, text, parse)),
  refused("arrays in each other, 100,000 deep", "[".repeat(100_000), parse),
  refused(
    "objects in each other, 100,000 deep",
    `${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}`,
    parse,
  ),
  refused(
    "parameters 20,000 deep",
    `{"jsonrpc":"2.0","method":"zb.nop","id":1,"params":${"[".repeat(20_000)}${"]".repeat(20_000)}}`,
    parse,
  ),
  refused("null", "null", invalid),
  refused("no version", '{"method":"zb.nop","id":1}', invalid),
  refused("version 1", '{"jsonrpc":"1.0","method":"zb.nop","id":1}', invalid),
  refused("version 2 as a number", '{"jsonrpc":2.0,"method":"zb.nop","id":1}', invalid),
  refused("no method", message({ id: 1 }), invalid),
  ...[1, {}, ["zb.nop"]].map((method) =>
    refused(`the method ${JSON.stringify(method)}`, message({ id: 1, method }), invalid),
  ),
  ...["1.5", "true", "{}", "[1]", "1e400", "123456789012345678901234567890"].map((id) =>
    refused(`the id ${id}`, `{"jsonrpc":"2.0","method":"zb.nop","id":${id}}`, invalid),
  ),
  ...["__proto__", "constructor", "toString", "hasOwnProperty", "zb.Nop", "zb.nop ", "zb", ""].map(
    (method) => refused(`the method ${method}`, message({ id: 1, method, params: {} }), noMethod),
  ),
];

const methods = [
  "zb.exists",
  "zb.info",
  "zb.export",
  "zb.expand",
  "zb.realize",
  "zb.getBuild",
  "zb.getBuildResult",
  "zb.cancelBuild",
  "zb.readLog",
  "zb.fetch",
  "kiln.missing",
  "kiln.delete",
  "kiln.addRoot",
  "kiln.removeRoot",
  "kiln.register",
  "kiln.collect",
  "kiln.verify",
  "kiln.objects",
  "kiln.closure",
  "kiln.builds",
  "kiln.results",
  "kiln.watch",
];

const wrongTypes = {
  path: 7,
  paths: 7,
  drvPath: 7,
  buildID: 7,
  name: 7,
  info: 7,
  limit: "x",
  after: 7,
  olderThan: "x",
  contents: 7,
};

const wrongParams: readonly Case[] = methods.flatMap((method) =>
  [
    [],
    "x",
    7,
    true,
    wrongTypes,
    JSON.parse(
      '{"__proto__":{"path":"x"},"path":{},"paths":[{}],"drvPath":{},"buildID":[],"name":[],"info":[],"limit":{},"contents":[]}',
    ) as object,
  ].map((params, i) => ({
    name: `${method} with parameters ${i}: ${JSON.stringify(params).slice(0, 40)}`,
    bytes: request(method, 1, params),
    outcome: badParams,
  })),
);

const paths = [
  "",
  ".",
  "/",
  "/etc/passwd",
  "/opt/zb/store",
  "/opt/zb/store/..",
  "/opt/zb/store/../../etc/passwd",
  "/opt/zb/store/00000000000000000000000000000000-",
  "/opt/zb/store/00000000000000000000000000000000-a/b",
  "/opt/zb/store/00000000000000000000000000000000-\u0000",
  `/opt/zb/store/00000000000000000000000000000000-${"a".repeat(212)}`,
  "/opt/zb/store/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-a",
  "relative/00000000000000000000000000000000-a",
];

const wrongPaths: readonly Case[] = paths.flatMap((path) => [
  {
    name: `zb.info of ${JSON.stringify(path).slice(0, 60)}`,
    bytes: request("zb.info", 1, { path }),
    outcome: badParams,
  },
  {
    name: `zb.export of ${JSON.stringify(path).slice(0, 60)}`,
    bytes: request("zb.export", 1, { paths: [path] }),
    outcome: badParams,
  },
]);

export const messages: readonly Case[] = [...malformed, ...wrongParams, ...wrongPaths];
