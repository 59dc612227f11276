/**
 * Keeps evaluation off the network: what it answers today it may not tomorrow, or elsewhere. Node 24's permissions do not know of
 * it, so the ways there are closed one by one; those of a module when somebody first asks for it, as loading all would take longer
 * than most build files.
 */
import module from "node:module";
import { Fault } from "./fault.ts";

/** What connects or listens, by module; `*` is every function. */
const doors: Readonly<Record<string, readonly string[] | "*">> = {
  http: ["request", "get"],
  https: ["request", "get"],
  http2: ["connect"],
  net: ["connect", "createConnection"],
  tls: ["connect"],
  dgram: ["createSocket", "Socket"],
  dns: "*",
  "dns/promises": "*",
};

/** Settings of the resolver, which packages make while they are loaded. */
const harmless = /^(?:get|set)(?:Servers|DefaultResultOrder)$/;

/** Closes the ways that need no import. Not to be undone: the process is the evaluation's own. */
export function goOffline(): void {
  const { fetch } = globalThis;
  globalThis.fetch = async (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    return /^(?:data|blob):/i.test(url) ? fetch(input, init) : refuse();
  };
  for (const name of ["WebSocket", "EventSource"]) {
    if (name in globalThis) close(globalThis, name);
  }
  Reflect.set(process, "getBuiltinModule", (name: string): unknown => {
    closeModule(name);
    return getBuiltinModule(name);
  });
}

const getBuiltinModule = process.getBuiltinModule.bind(process);
const closed = new Set<string>();

/** Closes the ways of a module of Node's, named as it is imported, before anybody gets it. */
export function closeModule(specifier: string): void {
  const name = specifier.replace(/^node:/, "");
  const isDoor = Object.hasOwn(doors, name) || /^_(?:http|tls)_/.test(name);
  if (!isDoor || closed.has(name)) return;
  closed.add(name);
  // Whatever connects does it by this one in the end.
  if (name !== "net") closeModule("net");
  const found: object = getBuiltinModule(`node:${name}`) ?? {};
  const names = doors[name] ?? [];
  const ways = names === "*" ? functionsOf(found) : names;
  for (const way of ways) close(found, way);
  if (name === "net") {
    const { Socket, Server } = getBuiltinModule("node:net");
    close(Socket.prototype, "connect");
    close(Server.prototype, "listen");
  }
  module.syncBuiltinESMExports();
}

function functionsOf(found: object): string[] {
  return Object.entries(found)
    .filter(([name, value]) => typeof value === "function" && !harmless.test(name))
    .map(([name]) => name);
}

function close(holder: object, name: string): void {
  const { enumerable = false } = Object.getOwnPropertyDescriptor(holder, name) ?? {};
  Object.defineProperty(holder, name, {
    value: refuse,
    enumerable,
    configurable: true,
    writable: true,
  });
}

/** Stands for functions and for classes. */
function refuse(): never {
  throw new Fault("author.denied", "a build file may not use the network", {
    hint: "fetchUrl() fetches what has this hash, when it is built; path() takes what is here",
  });
}
