import { ErrorCode, RpcError } from "../../rpc/errors.ts";
import { KilnError } from "../../util/kiln-error.ts";
import type { Handler, RequestContext } from "../context.ts";

/**
 * Sends an export message, then answers. All objects are found before anything is sent, so that a missing one is an ordinary error.
 */
export const exportObjects: Handler<"zb.export"> = async (params, context) => {
  const { store, connection, signal } = context;
  const headers = correlation(context);
  if (connection.exporter === undefined) {
    throw new KilnError("export.nowhere", "no exporter in context: nobody could take the export");
  }
  const plan = await store.export(params.paths, {
    excludeReferences: params.excludeReferences ?? false,
  });
  const chunks = plan.chunks({ reuse: connection.exporter.reusesChunks ?? false });
  await connection.exporter.export(headers, chunks, signal);
  return null;
};

/** How a client knows its export: v0.1.0 by the id of its request, v0.2 by a name it chose. */
function correlation(context: RequestContext): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  if (context.idText !== undefined) headers.set("X-Request-Id", context.idText);
  if (Object.hasOwn(context.extra, "zbExportID")) {
    const name = context.extra["zbExportID"];
    // As a header it must be one line.
    if (typeof name !== "string" || /[\r\n]/.test(name)) {
      throw new RpcError(ErrorCode.invalidParams, "zbExportID is not a string of one line");
    }
    headers.set("Zb-Export-Id", name);
  }
  return headers;
}
