import { isUtf8 } from "node:buffer";
import { KilnError } from "../../util/kiln-error.ts";
import type { Handler } from "../context.ts";

/** Some bytes of a builder's log; waits for at least one, or for the end, while the builder runs. */
export const readLog: Handler<"zb.readLog"> = async (params, { builds, signal }) => {
  const { buildID, drvPath, rangeStart = 0, rangeEnd } = params;
  if (drvPath === undefined) throw new KilnError("log.unknown", "no derivation given");
  const { bytes, eof } = await builds.readLog(buildID, drvPath, rangeStart, rangeEnd, signal);
  if (bytes.length === 0) return { eof };
  return isUtf8(bytes)
    ? { text: bytes.toString("utf8"), eof }
    : { base64: bytes.toString("base64"), eof };
};
