import type { Handler } from "../context.ts";

/** Which of the objects are not registered. Those that are stay for as long as the client is connected: it will not send them. */
export const kilnMissing: Handler<"kiln.missing"> = async ({ paths }, { store, connection }) => {
  const missing = paths.filter((path) => !store.has(path));
  const absent = new Set(missing);
  for (const path of paths) if (!absent.has(path)) connection.importer?.hold(path);
  return { missing };
};
