import { reuseOf } from "../../rpc/protocol.ts";
import { nameOf } from "../access.ts";
import type { Handler } from "../context.ts";
import { derivationsOfStore } from "./store-paths.ts";

/** Builds a derivation's inputs and shows how its builder would be started; the answer is in the build's `expand`. */
export const expand: Handler<"zb.expand"> = async (params, context) => {
  const { store, builds, connection } = context;
  context.requireOpen();
  const [drvPath = params.drvPath] = derivationsOfStore(store, [params.drvPath]);
  const user = nameOf(connection.caller);
  const buildID = await builds.expand({
    drvPath,
    tempDir: params.tempDir === undefined || params.tempDir === "" ? "/tmp" : params.tempDir,
    reuse: reuseOf(params),
    ...(user === undefined ? {} : { user }),
  });
  connection.builds.add(buildID);
  return { buildID };
};
