/**
 * The network of builders that may use one: fixed outputs, and `__network=1`.
 *
 * They have a network namespace of their own like all others, with nothing but loopback: the host's would show them its abstract
 * sockets and everything that listens on 127.0.0.1. What they get is a proxy at 127.0.0.1:3128, which is this process: a helper
 * that enters the namespace opens the listening socket there and hands it over, so nothing of the daemon's is ever inside.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { Server } from "node:net";
import { fileURLToPath } from "node:url";
import { KilnError } from "../../util/kiln-error.ts";
import type { Mode } from "./start.ts";
import type { Policy } from "./proxy.ts";

export interface NetworkOptions {
  readonly nsenter: string;
  readonly mode: Mode;
  readonly policy?: Policy;
}

/** Where builders find the proxy. */
export const proxyPort = 3128;
const proxyURL = `http://127.0.0.1:${proxyPort}`;

/** Of one build at the same time: each costs the daemon two descriptors. */
const mostConnections = 128;

/** How long the helper may take, in milliseconds. */
const patience = 30_000;

/** Adds the variables by which programs find a proxy, where they are not set. */
export function withProxy(env: ReadonlyMap<string, string>): Map<string, string> {
  const names = ["http_proxy", "https_proxy", "all_proxy"];
  return new Map([
    ...[...names, ...names.map((name) => name.toUpperCase())].map(
      (name) => [name, proxyURL] as const,
    ),
    ...["no_proxy", "NO_PROXY"].map((name) => [name, "localhost,127.0.0.1,::1"] as const),
    ["NODE_USE_ENV_PROXY", "1"],
    ...env,
  ]);
}

/** Certificate authorities of this machine, in the order in which Go looks for them. */
const certificateFiles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** The file with the certificates that this machine trusts, if it has one. */
export function certificateFile(
  environment: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const chosen = environment["SSL_CERT_FILE"] ?? "";
  return [chosen, ...certificateFiles].find((path) => path !== "" && existsSync(path));
}

/**
 * Opens the proxy in the network namespace of process `pid`. Disposing of the result closes it with all its connections.
 *
 * @throws KilnError `sandbox.network`
 */
export async function openNetwork(pid: number, options: NetworkOptions): Promise<AsyncDisposable> {
  const user = options.mode === "user" ? ["--user", "--preserve-credentials"] : [];
  // Loaded here, for it brings node:http, which takes a third of a daemon's start.
  const { Proxy } = await import("./proxy.ts");
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const helper = fileURLToPath(new URL(`./network-listener.${extension}`, import.meta.url));
  const words = [`--target=${pid}`, ...user, "--net", "--", process.execPath, helper];
  const child = spawn(options.nsenter, [...words, String(proxyPort), String(process.pid)], {
    cwd: "/",
    env: { LC_ALL: "C", NODE_V8_COVERAGE: undefined },
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  try {
    const server = await receiveServer(child);
    server.maxConnections = mostConnections;
    const proxy = new Proxy(options.policy);
    server.on("connection", (socket) => proxy.accept(socket));
    return {
      async [Symbol.asyncDispose]() {
        server.close();
        await proxy[Symbol.asyncDispose]();
      },
    };
  } finally {
    child.kill("SIGKILL");
  }
}

function receiveServer(child: ChildProcess): Promise<Server> {
  return new Promise((resolve, reject) => {
    let complaint = "";
    const fail = (reason: string): void => {
      const message = `a builder's network could not be made: ${reason}`;
      reject(new KilnError("sandbox.network", message, { kind: "internal" }));
    };
    const timer = setTimeout(() => fail("it took too long"), patience);
    child.stderr?.on("data", (chunk: Buffer) => (complaint += chunk.toString()));
    child.once("error", (error) => fail(error.message));
    child.once("close", () => {
      clearTimeout(timer);
      fail(complaint.trim() || "its helper ended");
    });
    child.once("message", (_, handle) => {
      if (handle instanceof Server) resolve(handle);
      else fail("its helper sent something else");
    });
  });
}
