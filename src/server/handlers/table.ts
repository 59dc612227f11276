/** Every method and who answers it. */
import { checkParams, isMethod } from "../../rpc/checkers.ts";
import { methodNotFound } from "../../rpc/errors.ts";
import type { Method } from "../../rpc/protocol.ts";
import { requireRole } from "../access.ts";
import type { Handler, RequestContext } from "../context.ts";
import { cancelBuild } from "./cancel-build.ts";
import { exists } from "./exists.ts";
import { expand } from "./expand.ts";
import { exportObjects } from "./export.ts";
import { fetch } from "./fetch.ts";
import { getBuildResult } from "./get-build-result.ts";
import { getBuild } from "./get-build.ts";
import { info } from "./info.ts";
import { kilnAddRoot } from "./kiln-add-root.ts";
import { kilnBuilds } from "./kiln-builds.ts";
import { kilnClosure } from "./kiln-closure.ts";
import { kilnCollect } from "./kiln-collect.ts";
import { kilnDelete } from "./kiln-delete.ts";
import { kilnHello } from "./kiln-hello.ts";
import { kilnImportReport } from "./kiln-import-report.ts";
import { kilnMissing } from "./kiln-missing.ts";
import { kilnObjects } from "./kiln-objects.ts";
import { kilnPlan } from "./kiln-plan.ts";
import { kilnRegister } from "./kiln-register.ts";
import { kilnRemoveRoot } from "./kiln-remove-root.ts";
import { kilnResults } from "./kiln-results.ts";
import { kilnRoots } from "./kiln-roots.ts";
import { kilnVerify } from "./kiln-verify.ts";
import { kilnWatch } from "./kiln-watch.ts";
import { nop } from "./nop.ts";
import { readLog } from "./read-log.ts";
import { realize } from "./realize.ts";

const handlers: { readonly [M in Method]: Handler<M> } = {
  "zb.exists": exists,
  "zb.info": info,
  "zb.export": exportObjects,
  "zb.expand": expand,
  "zb.realize": realize,
  "zb.getBuild": getBuild,
  "zb.getBuildResult": getBuildResult,
  "zb.cancelBuild": cancelBuild,
  "zb.readLog": readLog,
  "zb.nop": nop,
  "zb.fetch": fetch,
  "kiln.hello": kilnHello,
  "kiln.missing": kilnMissing,
  "kiln.importReport": kilnImportReport,
  "kiln.delete": kilnDelete,
  "kiln.plan": kilnPlan,
  "kiln.register": kilnRegister,
  "kiln.roots": kilnRoots,
  "kiln.addRoot": kilnAddRoot,
  "kiln.removeRoot": kilnRemoveRoot,
  "kiln.collect": kilnCollect,
  "kiln.verify": kilnVerify,
  "kiln.objects": kilnObjects,
  "kiln.closure": kilnClosure,
  "kiln.builds": kilnBuilds,
  "kiln.results": kilnResults,
  "kiln.watch": kilnWatch,
};

/**
 * Checks a request and has it answered.
 *
 * @throws RpcError for an unknown method and for bad parameters; KilnError `access.denied`; otherwise what the handler throws
 */
export async function dispatch(
  method: string,
  params: unknown,
  context: RequestContext,
): Promise<unknown> {
  if (!isMethod(method)) throw methodNotFound(method);
  requireRole(method, context.connection.caller);
  return await answer(method, params, context);
}

// The parameter ties the method's handler to its parameters.
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters
async function answer<M extends Method>(
  method: M,
  params: unknown,
  context: RequestContext,
): Promise<unknown> {
  const handler: Handler<M> = handlers[method];
  return await handler(checkParams(method, params), context);
}
