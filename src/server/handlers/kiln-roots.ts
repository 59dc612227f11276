import type { RootMessage } from "../../rpc/protocol.ts";
import type { Root } from "../../store/database/root-table.ts";
import type { Handler } from "../context.ts";

/** What collections keep, as it is now. */
export const kilnRoots: Handler<"kiln.roots"> = async (_params, { store }) => ({
  roots: store.roots().map(rootMessage),
});

export function rootMessage({ name, kind, target, user, createdAt }: Root): RootMessage {
  return {
    name,
    kind,
    path: target,
    user: user ?? null,
    createdAt: new Date(createdAt).toISOString(),
  };
}
