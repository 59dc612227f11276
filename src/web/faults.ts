/** What the answers to requests that fail are. */
import { z } from "zod";
import { KilnError } from "../util/kiln-error.ts";
import type { ErrorMessage } from "./api/messages.ts";

const statuses: Readonly<Record<string, number>> = {
  "http.request": 400,
  "path.invalid": 400,
  "log.pattern": 400,
  "log.range": 416,
  "http.token": 401,
  "http.origin": 403,
  "http.readOnly": 403,
  "http.notFound": 404,
  "build.unknown": 404,
  "build.noResult": 404,
  "log.unknown": 404,
  "store.missing": 404,
  "file.missing": 404,
  "root.missing": 404,
  "http.method": 405,
  "store.hasReferrers": 409,
  "store.inUse": 409,
  "http.media": 415,
  "log.search": 503,
};

const refused = z.object({ statusCode: z.number().min(400).max(499), message: z.string() });

/** The status and the JSON that say why. Faults of Kiln's own are told in short: the log has the rest. */
export function faultAnswer(error: unknown): { status: number; message: ErrorMessage } {
  if (!(error instanceof KilnError)) {
    // What the HTTP library found wrong with a request.
    const known = refused.safeParse(error);
    if (known.success) {
      const { statusCode: status, message } = known.data;
      return { status, message: { code: "http.request", message } };
    }
    return { status: 500, message: { code: "internal", message: "something went wrong here" } };
  }
  const { code, message, hint } = error;
  const status = statuses[code] ?? (code.startsWith("drv.") ? 422 : 500);
  return { status, message: { code, message, ...(hint === undefined ? {} : { hint }) } };
}
