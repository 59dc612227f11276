/** The proxy that this machine itself must use, by the variables that name it. */
import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { needsProxy } from "../builtins/fetch/no-proxy.ts";

export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface Upstream extends Target {
  readonly headers: Readonly<Record<string, string>>;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for requests of this kind to `target`; undefined when it is to be reached directly, as this machine always is. Only
 * `http:` proxies are known.
 */
export function upstreamFor(
  environment: Environment,
  kind: "HTTP" | "HTTPS",
  target: Target,
): Upstream | undefined {
  const variable = (name: string): string =>
    environment[name] || environment[name.toLowerCase()] || "";
  const text = variable(`${kind}_PROXY`);
  const host = target.host.replace(/\.$/, "");
  if (/(?:^|\.)localhost$/i.test(host)) return undefined;
  const asked = URL.parse(`${kind.toLowerCase()}://${bracketed(host)}:${target.port}`);
  if (text === "" || asked === null || !needsProxy(asked, variable("NO_PROXY"))) return undefined;
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `http://${text}`);
  if (url?.protocol !== "http:") return undefined;
  const { username, password } = url;
  const credentials = `${decoded(username)}:${decoded(password)}`;
  const authorization = `Basic ${Buffer.from(credentials).toString("base64")}`;
  return {
    host: url.hostname.replaceAll(/^\[|\]$/g, ""),
    port: Number(url.port || 80),
    headers: username === "" ? {} : { "proxy-authorization": authorization },
  };
}

function bracketed(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}

/** A text with an escape that means nothing stands for itself. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
