/** Where the page is served, and to which names. */
import { KilnError } from "../util/kiln-error.ts";

/** Where the page is when nobody says otherwise. */
export const defaultAddress = "localhost:7420";

export interface Address {
  /** A name or an IP address; empty: all interfaces. */
  readonly host: string;
  /** 0: one that is free. */
  readonly port: number;
}

/**
 * `HOST:PORT` as zb takes it: `localhost:7420`, `:7420` (all interfaces), `[::1]:0`; also a port alone.
 *
 * @throws KilnError `usage.value`
 */
export function parseAddress(text: string): Address {
  const match = /^(?:(?<host>[^:[\]/\s]*|\[[0-9a-fA-F:.%]+\]):)?(?<port>\d{1,5})$/.exec(text);
  const port = Number(match?.groups?.["port"]);
  if (match === null || port > 65535) {
    throw new KilnError("usage.value", `"${text}" is no address for the page`, {
      hint: `${defaultAddress}, or another HOST:PORT`,
    });
  }
  const host = match.groups?.["host"] ?? "localhost";
  return { host: host.replace(/^\[(.*)\]$/, "$1"), port };
}
