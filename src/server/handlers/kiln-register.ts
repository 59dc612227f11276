import { parseObjectInfo } from "../../format/object-info.ts";
import type { Handler } from "../context.ts";

/** Makes an object of what lies in the store directory already, after it was found to be what the record says. */
export const kilnRegister: Handler<"kiln.register"> = async ({ info }, { store }) => {
  await store.register(parseObjectInfo(info));
  return null;
};
