import { toRpc } from "../../format/object-info.ts";
import type { StorePath } from "../../format/store-path.ts";
import type { ObjectInfoMessage } from "../../rpc/protocol.ts";
import type { Store } from "../../store/store.ts";
import type { Handler } from "../context.ts";

/** What is known of an object; null when it is not registered. */
export const info: Handler<"zb.info"> = async ({ path }, { store }) => ({
  info: path === undefined ? null : (infoMessage(store, path) ?? null),
});

export function infoMessage(store: Store, path: StorePath): ObjectInfoMessage | undefined {
  const found = store.info(path);
  if (found === undefined) return undefined;
  const { narHash, narSize, ca } = toRpc(found);
  return { narHash, narSize, references: found.references, ca: ca ?? "" };
}
