import type { ObjectInfoMessage } from "../../rpc/protocol.ts";
import { Pacer } from "../../util/pacer.ts";
import type { Handler } from "../context.ts";
import { infoMessage } from "./info.ts";

/** Which of the objects are here. There is no other store yet to fetch the rest from, and a failed download is no error. */
export const fetch: Handler<"zb.fetch"> = async ({ paths }, { store }) => {
  const found: Record<string, ObjectInfoMessage> = {};
  const pacer = new Pacer();
  for (const path of paths) {
    const message = infoMessage(store, path);
    if (message !== undefined) found[path] = message;
    await pacer.pause();
  }
  return { found };
};
