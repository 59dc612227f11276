import type { StorePath } from "../../format/store-path.ts";
import { Pacer } from "../../util/pacer.ts";
import type { Handler } from "../context.ts";

/**
 * Which of the objects are not there, or damaged, and so have to be sent. The others stay for as long as the client is connected: it
 * will not send them.
 */
export const kilnMissing: Handler<"kiln.missing"> = async ({ paths }, { store, connection }) => {
  const missing: StorePath[] = [];
  const pacer = new Pacer();
  for (const path of paths) {
    if (store.isSound(path)) connection.importer?.hold(path);
    else missing.push(path);
    await pacer.pause();
  }
  return { missing };
};
