import type { Handler } from "../context.ts";

/** The most that one answer lists. */
const most = 10_000;

/** The objects in the store, a part of them after the other. */
export const kilnObjects: Handler<"kiln.objects"> = async ({ after, limit = most }, { store }) => ({
  objects: store.page(after, Math.min(limit, most)),
});
