import type { Handler } from "../context.ts";

/** Who answers here, and what the client may do. */
export const kilnHello: Handler<"kiln.hello"> = async (_params, { hello, connection }) => ({
  ...hello(),
  role: connection.caller.role,
});
