/** Follows a build to its end, through its events. */
import type { BuildEvent } from "../build/events.ts";
import type { StoreClient } from "../rpc/client.ts";
import type { EventMessage } from "../rpc/protocol.ts";
import { hasCode, KilnError } from "../util/kiln-error.ts";
import type { CommandContext } from "./context.ts";
import { shortID } from "./text.ts";

/** Resolves when the build has ended and all of its events were given. */
export async function followBuild(
  client: StoreClient,
  buildID: string,
  onEvent: (event: BuildEvent) => void,
  options: { readonly context: CommandContext; readonly logs?: "all" | "tail" | undefined },
): Promise<void> {
  const tell = (message: EventMessage): void => {
    if (isEvent(message)) onEvent(message);
  };
  try {
    await client.watch(buildID, tell, { logs: options.logs });
  } catch (error) {
    if (!hasCode(error, "socket.interrupted")) throw error;
    throw new KilnError("socket.interrupted", `lost the daemon during build ${shortID(buildID)}`, {
      kind: "internal",
      hint: `if it lives, the build goes on: ${options.context.kiln(`attach ${shortID(buildID)}`)}`,
      cause: error,
    });
  }
}

const types: ReadonlySet<string> = new Set<BuildEvent["type"]>([
  "build.started",
  "build.planned",
  "build.finished",
  "result.planned",
  "result.started",
  "result.phase",
  "result.finished",
  "object.added",
  "object.substituted",
  "log",
  "tick",
  "message",
  "dropped",
]);

/** Events of types that came later than this program are passed over. */
function isEvent(message: EventMessage): message is EventMessage & BuildEvent {
  return message.v === 1 && types.has(message.type);
}
