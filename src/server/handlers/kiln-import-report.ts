import type { Handler } from "../context.ts";

/** What became of the objects that this client sent since it last asked. */
export const kilnImportReport: Handler<"kiln.importReport"> = async (_params, { connection }) => ({
  reports: connection.importer?.reports.splice(0) ?? [],
});
