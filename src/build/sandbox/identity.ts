/** Who builders are: as they see themselves, and as this machine sees them. */
import type { BuildUser } from "../executor.ts";
import type { Mode } from "./start.ts";
import type { Identity } from "./layout.ts";

/** The first of the ids that builders have out here when root has no build users: nobody else's, by convention. */
export const firstPrivateID = 1879048192;

/** How many of them there are. */
export const privateIDs = 65536;

/** The same everywhere, so that what a builder records of itself does not depend on who built it. */
const inNamespace: Identity = { uid: 1000, gid: 100 };

/**
 * The ids of a builder. A plain user's builder is that user out here, which is root in the namespace where the sandbox is made.
 *
 * @param user the build user, if there are any
 * @param slot the number of the slot; counted from the end if negative
 */
export function idsFor(
  { mode, inner }: { readonly mode: Mode; readonly inner: boolean },
  user: BuildUser | undefined,
  slot: number,
): { readonly inside: Identity; readonly outside: Identity } {
  if (mode === "user") return { inside: inNamespace, outside: { uid: 0, gid: 0 } };
  const own = firstPrivateID + ((slot + privateIDs) % privateIDs);
  const outside = user ?? { uid: own, gid: own };
  return { inside: inner ? inNamespace : outside, outside };
}
