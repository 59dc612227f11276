import { reuseOf } from "../../rpc/protocol.ts";
import { nameOf } from "../access.ts";
import type { Handler } from "../context.ts";
import { derivationsOfStore } from "./store-paths.ts";

/** Starts a build of derivations and answers with its id; the build goes on by itself. */
export const realize: Handler<"zb.realize"> = async (params, context) => {
  const { store, builds, connection } = context;
  context.requireOpen();
  const drvPaths = derivationsOfStore(store, params.drvPath);
  const user = nameOf(connection.caller);
  const buildID = await builds.realize({
    drvPaths,
    keepFailed: params.keepFailed ?? false,
    keeper: connection.caller.credentials?.uid,
    keepGoing: params.keepGoing ?? true,
    check: params.check ?? false,
    reuse: reuseOf(params),
    ...(params.targets === undefined ? {} : { targets: params.targets }),
    ...(user === undefined ? {} : { user }),
  });
  connection.builds.add(buildID);
  return { buildID };
};
