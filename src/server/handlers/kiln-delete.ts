import type { Handler } from "../context.ts";

/** Removes objects, all or none. */
export const kilnDelete: Handler<"kiln.delete"> = async ({ paths, recursive }, context) => ({
  deleted: await context.store.remove(paths, {
    recursive: recursive ?? false,
    signal: context.signal,
  }),
});
