import type { Handler } from "../context.ts";

/** From now on the root keeps nothing; a link itself stays where it is. */
export const kilnRemoveRoot: Handler<"kiln.removeRoot"> = async ({ name }, { store }) => {
  await store.removeRoot(name);
  return null;
};
