/** Connections: which proxy, which certificates. */
import { readFileSync } from "node:fs";
import { createSecureContext, getCACertificates, type SecureContext } from "node:tls";
import { Agent, type Dispatcher, ProxyAgent } from "undici";
import { KilnError } from "../../../util/kiln-error.ts";
import type { BuiltinContext } from "../builtin.ts";
import { reasonOf } from "../fault.ts";
import { needsProxy } from "./no-proxy.ts";

type Environment = BuiltinContext["environment"];

/**
 * The ways to the servers of one download. Disposing of it closes all connections.
 *
 * Proxies are those of the environment, read as Go reads it: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` before their lower-case
 * forms, none for this machine itself, and no proxy for https unless it is named.
 */
export class Dispatchers implements AsyncDisposable {
  readonly #environment: Environment;
  readonly #connectTimeout: number;
  readonly #open = new Map<string, Dispatcher>();

  constructor(environment: Environment, options: { readonly connectTimeout: number }) {
    this.#environment = environment;
    this.#connectTimeout = options.connectTimeout;
  }

  /** @throws KilnError `fetch.proxy`, of kind `internal`, when the environment names none that can be used */
  for(url: URL): Dispatcher {
    const scheme = url.protocol === "https:" ? "HTTPS" : "HTTP";
    const isDirect = !needsProxy(url, this.#variable("NO_PROXY") ?? "");
    const proxy = isDirect ? undefined : this.#variable(`${scheme}_PROXY`);
    const key = `${url.protocol} ${proxy ?? ""}`;
    const open = this.#open.get(key) ?? this.#connect(url, proxy, scheme);
    this.#open.set(key, open);
    return open;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(open.map((dispatcher) => dispatcher.destroy()));
  }

  #connect(url: URL, proxy: string | undefined, scheme: string): Dispatcher {
    const isSecure = url.protocol === "https:" || proxy?.startsWith("https:") === true;
    const tls = isSecure ? secureOptions(this.#environment) : {};
    const timeout = this.#connectTimeout;
    const options = { connect: { ...tls, timeout }, allowH2: false, pipelining: 1 } as const;
    if (proxy === undefined) return new Agent(options);
    try {
      const address = new URL(/^[a-z0-9]+:\/\//i.test(proxy) ? proxy : `http://${proxy}`);
      if (!/^https?:$/.test(address.protocol)) throw new Error(`no ${address.protocol} proxies`);
      return new ProxyAgent({
        ...options,
        uri: address.href,
        connectTimeout: timeout,
        requestTls: tls,
        proxyTls: tls,
      });
    } catch (error) {
      // Its text is not shown: it may hold a password.
      const message = `the environment variable ${scheme}_PROXY is not the URL of an http or https proxy`;
      throw new KilnError("fetch.proxy", message, { kind: "internal", cause: error });
    }
  }

  #variable(name: string): string | undefined {
    const value = this.#environment[name] || this.#environment[name.toLowerCase()];
    return value === "" ? undefined : value;
  }
}

let defaultContext: SecureContext | undefined;

/** Certificates are always checked, whatever Node's own variables say. */
function secureOptions(environment: Environment): {
  secureContext: SecureContext;
  rejectUnauthorized: true;
} {
  return { secureContext: secureContext(environment), rejectUnauthorized: true };
}

/** Trusts `SSL_CERT_FILE` if that is set, as OpenSSL and Go do, else what Node and the system trust. */
function secureContext(environment: Environment): SecureContext {
  const file = environment["SSL_CERT_FILE"] ?? "";
  if (file === "") {
    // Made once: reading hundreds of certificates takes a while.
    defaultContext ??= createSecureContext({
      ca: [...new Set([...getCACertificates("default"), ...getCACertificates("system")])],
    });
    return defaultContext;
  }
  try {
    return createSecureContext({ ca: readFileSync(file) });
  } catch (error) {
    const message = `cannot use the certificates of SSL_CERT_FILE: ${reasonOf(error)}`;
    throw new KilnError("fetch.certificates", message, { kind: "internal", cause: error });
  }
}
