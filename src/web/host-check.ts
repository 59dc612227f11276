/**
 * Which requests are looked at at all. A page of somebody else can make a browser ask a server on this machine, under a name that
 * page's owner has pointed here; the name in the request gives it away.
 */
import { isIP } from "node:net";

export interface HostRules {
  /** Further names that stand for this server, lower case. */
  readonly names: ReadonlySet<string>;
  /** Whether others than this machine may ask, and may do so by an IP address. */
  readonly remote: boolean;
}

/**
 * Why a request is refused; undefined when it is not.
 *
 * @param host the header `Host`
 * @param peer who asks: an IP address
 */
export function refusal(
  host: string | undefined,
  peer: string | undefined,
  { names, remote }: HostRules,
): string | undefined {
  if (!remote && !isLoopback(peer ?? "")) return "Only localhost connections permitted.";
  const name = hostName(host ?? "");
  if (name === undefined) return "The request names no host.";
  if (name === "localhost" || isLoopback(name) || names.has(name)) return undefined;
  if (!remote) return "Only localhost connections permitted.";
  if (isIP(name) !== 0) return undefined;
  return "This is not a name of this server: see --ui-host.";
}

/** The name or IP address in a `Host` header, lower case, without brackets and port. */
export function hostName(header: string): string | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?$/.exec(header);
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}

function isLoopback(address: string): boolean {
  const plain = address.toLowerCase().replace(/^::ffff:/, "");
  return plain === "::1" || (isIP(plain) === 4 && plain.startsWith("127."));
}
