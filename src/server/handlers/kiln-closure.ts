import type { Handler } from "../context.ts";

/** Objects and all they refer to, or all that refers to them. */
export const kilnClosure: Handler<"kiln.closure"> = async ({ paths, referrers }, { store }) => ({
  objects: await store.graph(paths, { referrers: referrers ?? false }),
});
