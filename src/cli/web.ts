/** The web page of a store server that runs in this process. */
import type { Log } from "../server/options.ts";
import type { Server } from "../server/server.ts";
import { defaultAddress, parseAddress } from "../web/address.ts";
import { readToken } from "../web/administrator.ts";
import { WebServer } from "../web/http-server.ts";

export interface PageOptions {
  /** Default: the usual one. */
  readonly address: string | undefined;
  readonly hostNames: readonly string[] | undefined;
  /** Where the administrator's token is, or will be; none: nothing can be changed. */
  readonly tokenFile: string | undefined;
  readonly allowRemote: boolean | undefined;
  /** How long builds are kept, in milliseconds; none, or 0 and less: for ever. */
  readonly retention: number | undefined;
  readonly mode: "daemon" | "embedded";
  readonly log: Log;
}

/**
 * Opens the page and says where it is.
 *
 * @throws KilnError `usage.value`, `ui.…`, `file.…`
 */
export async function openWeb(server: Server, options: PageOptions): Promise<WebServer> {
  const { address, hostNames, tokenFile, allowRemote, retention = 0, mode, log } = options;
  const token = tokenFile === undefined ? undefined : readToken(tokenFile);
  const page = await WebServer.open(server, {
    address: parseAddress(address ?? defaultAddress),
    hostNames,
    allowRemote,
    token,
    retention: retention > 0 ? retention : undefined,
    mode,
    log,
  });
  server.page = page.url;
  log("info", `The web page is at ${page.url}`);
  if (tokenFile !== undefined) log("info", `The administrator's token is in ${tokenFile}`);
  return page;
}
