/** URLs to fetch from: which ones are allowed, and how they may be shown. */
import { builderFault, quote } from "../fault.ts";

/**
 * The http or https URL that `text` is; with `base` it may be relative.
 *
 * @throws KilnError `fetch.url`
 */
export function httpURL(text: string, base?: URL): URL {
  const url = URL.parse(text, base?.href);
  if (url === null) throw builderFault("fetch.url", `${quote(withoutUser(text))} is not a URL`);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    const scheme = quote(url.protocol.slice(0, -1));
    const message = `Get ${quote(withoutUser(text))}: unsupported protocol scheme ${scheme}`;
    throw builderFault("fetch.url", message);
  }
  return url;
}

/** A URL as it may be logged: without user and password. */
export function shownURL(url: URL): string {
  const shown = new URL(url);
  shown.username = "";
  shown.password = "";
  return shown.href;
}

/** Where a server led us, as it may be logged: such URLs often carry a right to read in their query. */
export function shownTarget(url: URL): string {
  const shown = new URL(url);
  shown.search = "";
  shown.hash = "";
  return shownURL(shown) + (url.search === "" ? "" : "?…");
}

/** The header that sends user and password of `url`: to its host, and to no other. */
export function authorizationFor(url: URL): string | undefined {
  if (url.username === "" && url.password === "") return undefined;
  const credentials = `${decoded(url.username)}:${decoded(url.password)}`;
  return `Basic ${Buffer.from(credentials).toString("base64")}`;
}

/**
 * Whether `url` may be fetched from, when only certain hosts are allowed: `example.org` is that host, `*.example.org` every host
 * below it. Case does not count.
 */
export function isAllowedHost(url: URL, allowed: readonly string[]): boolean {
  const host = url.hostname.toLowerCase();
  return allowed.some((entry) => {
    const pattern = entry.toLowerCase();
    return pattern.startsWith("*.") ? host.endsWith(pattern.slice(1)) : host === pattern;
  });
}

/** For texts that could not be parsed. */
function withoutUser(text: string): string {
  return text.replace(/\/\/[^/?#]*@/, "//");
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
