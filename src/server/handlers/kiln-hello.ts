import type { Handler } from "../context.ts";

/** Who answers here. */
export const kilnHello: Handler<"kiln.hello"> = async (_params, { hello }) => hello();
