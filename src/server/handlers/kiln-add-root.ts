import { denied, nameOf } from "../access.ts";
import type { Handler } from "../context.ts";
import { rootMessage } from "./kiln-roots.ts";

/** Makes a root. Anybody may make one of a link of their own; names are for trusted users. */
export const kilnAddRoot: Handler<"kiln.addRoot"> = async ({ name, path }, context) => {
  const { store, connection } = context;
  const { role, credentials } = connection.caller;
  if (role !== "trusted" && path !== undefined) throw denied("making a named root", role);
  if (role !== "trusted" && credentials === undefined) throw denied("making a root", role);
  const root = await store.addRoot({
    name,
    target: path,
    user: nameOf(connection.caller),
    ...(role === "trusted" || credentials === undefined ? {} : { owner: credentials.uid }),
  });
  return { root: rootMessage(root) };
};
