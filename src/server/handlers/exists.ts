import type { Handler } from "../context.ts";

/** Is the object, or something inside one, there? Never an error. */
export const exists: Handler<"zb.exists"> = async ({ path }, { store }) => await store.exists(path);
