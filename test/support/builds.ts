import type { Result } from "../../src/rpc/protocol.ts";
import type { StoreClient } from "../../src/rpc/client.ts";

/** The build as `zb.getBuild` shows it once it has ended. */
export async function finishedBuild(
  client: StoreClient,
  buildID: string,
): Promise<Result<"zb.getBuild">> {
  for (;;) {
    const build = await client.call("zb.getBuild", { buildID });
    if (build.status !== "active") return build;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
