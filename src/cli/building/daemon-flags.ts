/** Flags of `kiln build` that are about building, where a daemon builds and they have no say. */
import { KilnError } from "../../util/kiln-error.ts";
import type { BuildFlags } from "../commands/build.ts";
import type { CommandContext } from "../context.ts";
import type { StoreConnection } from "../connection.ts";
import { limitFlags } from "../limits.ts";

/**
 * Says which flags a daemon does not heed. What was asked for to be safe is refused instead: nobody would expect a builder to go on for
 * ever, or to see the machine.
 *
 * @throws KilnError `daemon.flags`
 */
export function checkDaemonFlags(
  flags: BuildFlags,
  { mode, hello }: StoreConnection,
  { socket, context }: { readonly socket: string; readonly context: CommandContext },
): void {
  if (mode !== "daemon") return;
  const sandbox = sandboxHeld(flags.sandbox, hello?.sandbox);
  const dangerous = [...limitFlags(flags), ...(sandbox === "no" ? ["--sandbox"] : [])];
  if (dangerous.length > 0) {
    throw new KilnError(
      "daemon.flags",
      `${withoutEffect(dangerous)}: the daemon at ${socket} builds`,
      {
        path: socket,
        hint: `give ${dangerous.length === 1 ? "it" : "them"} to kiln serve, or end the daemon`,
      },
    );
  }
  const harmless = [
    ...(flags.jobs === undefined ? [] : ["--jobs"]),
    ...(sandbox === "unknown" ? ["--sandbox"] : []),
  ];
  if (harmless.length > 0)
    context.note(`warning: ${withoutEffect(harmless)}: the daemon at ${socket} builds`);
}

function withoutEffect(flags: readonly string[]): string {
  return `${flags.join(" and ")} ${flags.length === 1 ? "has" : "have"} no effect`;
}

/** Whether the daemon isolates builders as it was wished; `unknown` also where it does more. */
function sandboxHeld(
  wished: BuildFlags["sandbox"],
  daemons: string | undefined,
): "yes" | "no" | "unknown" {
  if (wished === undefined || wished === "auto") return "yes";
  if (wished === "false") return daemons === "none" ? "yes" : "unknown";
  if (daemons === "sandbox") return "yes";
  return daemons === "none" ? "no" : "unknown";
}
