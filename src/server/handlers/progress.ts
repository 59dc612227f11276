import { progressMethod, type ProgressMessage } from "../../rpc/protocol.ts";
import type { RequestContext } from "../context.ts";

/** Milliseconds between two messages to one client. */
const pace = 100;

/** Tells the client of a long request how far it is, a few times a second. */
export function progressReporter({
  connection,
  id,
}: RequestContext): ((progress: ProgressMessage) => void) | undefined {
  const { notify } = connection;
  if (notify === undefined) return undefined;
  let last = 0;
  let isTelling = false;
  return (progress) => {
    const now = performance.now();
    if (isTelling || now - last < pace) return;
    last = now;
    isTelling = true;
    void notify(progressMethod, { request: id ?? null, progress }).finally(() => {
      isTelling = false;
    });
  };
}
