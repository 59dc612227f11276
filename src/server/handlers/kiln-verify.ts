import type { Damage } from "../../store/inspection.ts";
import { inOneLine } from "../../util/kiln-error.ts";
import type { Handler, RequestContext } from "../context.ts";
import { progressReporter } from "./progress.ts";

/** Looks for damaged objects; what cannot be mended in its place is built again. */
export const kilnVerify: Handler<"kiln.verify"> = async (params, context) => {
  const { store, signal } = context;
  if (params.repair === true) context.requireOpen();
  const found = await store.verify({ ...params, signal, onProgress: progressReporter(context) });
  if (params.repair !== true) return found;
  const damaged: Damage[] = [];
  // What objects refer to comes first, so that their builders find it.
  for (const damage of found.damaged) damaged.push(await rebuild(damage, context));
  return { ...found, damaged };
};

async function rebuild(damage: Damage, context: RequestContext): Promise<Damage> {
  const { builds, store, signal } = context;
  if (damage.repair === "repaired" || damage.repair === "failed") return damage;
  try {
    // Another build may have made it meanwhile.
    if (!(await store.isIntact(damage.path))) {
      context.requireOpen();
      await builds.makeAgain(damage.path, signal);
    }
    return { ...damage, repair: "repaired" };
  } catch (error) {
    signal.throwIfAborted();
    return { ...damage, repair: damage.repair ?? "failed", failure: inOneLine(error) };
  }
}
