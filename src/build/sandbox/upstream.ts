/** The proxy that this machine itself must use, by the variables that name it. */
import { Buffer } from "node:buffer";

export interface Target {
  readonly host: string;
  readonly port: number;
}

export interface Upstream extends Target {
  readonly headers: Readonly<Record<string, string>>;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The proxy for requests of this kind to `target`; undefined when it is to be reached directly. Only `http:` proxies are known. */
export function upstreamFor(
  environment: Environment,
  kind: "HTTP" | "HTTPS",
  target: Target,
): Upstream | undefined {
  const variable = (name: string): string =>
    environment[name] || environment[name.toLowerCase()] || "";
  const text = variable(`${kind}_PROXY`);
  if (text === "" || isExempt(variable("NO_PROXY"), target)) return undefined;
  const url = URL.parse(/^[a-z]+:\/\//i.test(text) ? text : `http://${text}`);
  if (url?.protocol !== "http:") return undefined;
  const { username, password } = url;
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const authorization = `Basic ${Buffer.from(credentials).toString("base64")}`;
  return {
    host: url.hostname.replaceAll(/^\[|\]$/g, ""),
    port: Number(url.port || 80),
    headers: username === "" ? {} : { "proxy-authorization": authorization },
  };
}

/** `list`: host names, domains with all that is in them, either with a port; or `*`. */
function isExempt(list: string, { host, port }: Target): boolean {
  return list
    .split(",")
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== "")
    .some((entry) => {
      const [, name = "", only] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
      if (only !== undefined && Number(only) !== port) return false;
      const domain = name.replace(/^\*?\./, "");
      return entry === "*" || host === domain || host.endsWith(`.${domain}`);
    });
}
