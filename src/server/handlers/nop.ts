import type { Handler } from "../context.ts";

/** A barrier: imports that were sent before are applied. */
export const nop: Handler<"zb.nop"> = async () => null;
