/** Which servers are asked without a proxy. The list is read as Go reads it, so that one environment serves zb and Kiln. */
import { BlockList, isIP } from "node:net";
import { domainToASCII } from "node:url";

/** An entry of the list. */
type Exemption = (host: string, port: string) => boolean;

const loopback = addresses("127.0.0.0", 8);
loopback.addAddress("::1", "ipv6");

/**
 * Whether `url` is to be fetched through the proxy that there is for its scheme. `list` is the value of `NO_PROXY`, entries between
 * commas:
 *
 *     *                                   no proxy at all
 *     10.0.0.0/8, fd00::/8                addresses of a network (a name is not looked up for this)
 *     10.0.0.1, 10.0.0.1:80, [fd00::1]:80 an address, at one port or all
 *     example.org, example.org:80         a host and all below it
 *     .example.org, *.example.org         the hosts below it
 *
 * This machine itself (`localhost` and loopback addresses) is never asked through a proxy.
 */
export function needsProxy(url: URL, list: string): boolean {
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  if (host === "localhost" || contains(loopback, host)) return false;
  return !list.split(",").some((entry) => exemption(entry.trim().toLowerCase())?.(host, port));
}

/** Undefined for what is none. */
function exemption(entry: string): Exemption | undefined {
  if (entry === "*") return () => true;
  const network = networkOf(entry);
  if (network !== undefined) return (host) => contains(network, host);
  const [name, wanted] = hostAndPort(entry);
  const isPort = (port: string): boolean => wanted === "" || wanted === port;
  if (name === "") return undefined;
  const address = isIP(name) === 0 ? undefined : addresses(name);
  if (address !== undefined) return (host, port) => contains(address, host) && isPort(port);
  const isBelowOnly = /^\*?\./.test(name);
  const bare = name.replace(/^\*?\./, "");
  const domain = domainToASCII(bare) || bare;
  return (host, port) =>
    isIP(host) === 0 &&
    (host.endsWith(`.${domain}`) || (!isBelowOnly && host === domain)) &&
    isPort(port);
}

/** The port is empty when the entry has none. */
function hostAndPort(entry: string): [host: string, port: string] {
  const parts = /^\[([^\]]*)\]:(\d*)$/.exec(entry) ?? /^([^:]*):(\d*)$/.exec(entry);
  return [parts?.[1] ?? entry, parts?.[2] ?? ""];
}

function networkOf(entry: string): BlockList | undefined {
  const [, address = "", digits = ""] = /^([^/]+)\/(\d{1,3})$/.exec(entry) ?? [];
  const family = isIP(address);
  const size = Number(digits);
  if (family === 0 || size > (family === 4 ? 32 : 128)) return undefined;
  return addresses(address, size);
}

function addresses(address: string, prefix?: number): BlockList {
  const list = new BlockList();
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  if (prefix === undefined) list.addAddress(address, family);
  else list.addSubnet(address, prefix, family);
  return list;
}

function contains(list: BlockList, host: string): boolean {
  const family = isIP(host);
  return family !== 0 && list.check(host, family === 6 ? "ipv6" : "ipv4");
}
