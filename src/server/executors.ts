/** How this server runs builders. */
import { BuiltinExecutor } from "../build/builtin-executor.ts";
import { ProcessExecutor } from "../build/process-executor.ts";
import type { Executors } from "../build/workshop.ts";
import type { Store } from "../store/store.ts";

/** Programs as plain processes, which see the machine as the server does; built-in builders in the server itself. */
export function makeExecutors(store: Store): Executors {
  return {
    native: new ProcessExecutor({
      storeDirectory: store.directory,
      realDirectory: store.realDirectory,
      temporaryDirectory: store.temporaryDirectory,
      claim: (paths) => store.claim(paths),
    }),
    builtin: new BuiltinExecutor(),
  };
}
