import type { Handler } from "../context.ts";

/** Which of the objects are not registered. */
export const kilnMissing: Handler<"kiln.missing"> = async ({ paths }, { store }) => ({
  missing: paths.filter((path) => !store.has(path)),
});
