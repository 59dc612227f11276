/** Store objects that are made of files: read to be hashed, and read again to be sent. */
import { KilnError } from "../util/kiln-error.ts";
import type { ContentAddress } from "../format/content-address.ts";
import { noReferences, storePathOf } from "../format/path-digest.ts";
import { context } from "./context.ts";
import { Fault } from "./fault.ts";
import { sourceHash, type StoreItem } from "./item.ts";
import type { Place } from "./place.ts";
import { isSettled, StampCache, stampOf } from "./stamps.ts";
import type { WalkedEntry } from "./walk.ts";

/** An object whose bytes are on disk. */
export interface ReadObject {
  readonly label: string;
  readonly place: Place | undefined;
  readonly name: string;
  /** With the name, what its stamp is kept by. */
  readonly key: string;
  /** Everything its NAR is made of, for the stamp. */
  readonly entries: readonly WalkedEntry[];
  readonly nar: () => Iterable<Buffer>;
}

/** The object as an item: read when its stamp is new, and again when the store wants it. */
export function readItem(object: ReadObject): StoreItem {
  const { storeDirectory, cacheDirectory, clock } = context();
  const { label, place, name, key, entries } = object;
  const cache = cacheDirectory === undefined ? undefined : new StampCache(cacheDirectory);
  const stamp = stampOf(entries);
  const before = cache?.read(key, name);
  let hash = before?.stamp === stamp ? before.hash : undefined;
  if (hash === undefined) {
    const walked = clock.now();
    hash = sourceHash(reading(object));
    if (isSettled(entries, walked)) cache?.write(key, name, { stamp, hash });
  }
  const ca: ContentAddress = { method: "recursive", hash };
  const path = storePathOf(storeDirectory, name, ca, noReferences);
  return { path, references: [], label, place, content: { ca, nar: () => reading(object) } };
}

function* reading({ label, place, nar }: ReadObject): Iterable<Buffer> {
  try {
    yield* nar();
  } catch (error) {
    const { code, message } = KilnError.from(error, "source.unreadable");
    throw new Fault(code, `${label}: ${message}`, { place, cause: error });
  }
}
