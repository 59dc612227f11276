/** The parts of an open store, as its verbs (import, publish, export, remove, register) share them. */
import type { ObjectInfo } from "../format/object-info.ts";
import type { MachoBufferCreator } from "../format/references/self-references.ts";
import type { StoreDirectory } from "../format/store-path.ts";
import type { KeyedMutex } from "../util/keyed-mutex.ts";
import type { IntentTable } from "./database/intents.ts";
import type { ObjectTable } from "./database/objects.ts";
import type { StoreDatabase } from "./database/open.ts";
import type { Reserve } from "./database/reserve.ts";
import type { DigestThread } from "./digest-thread.ts";
import type { Log, ObjectFiles } from "./object-files.ts";
import type { ReadingThread } from "./reading-thread.ts";
import type { TemporaryRoots } from "./roots.ts";
import type { RootTable } from "./database/root-table.ts";
import type { SmallFiles } from "./small-files.ts";
import type { Syncer } from "./syncer.ts";
import type { Usage } from "./usage.ts";
import type { VerificationPool } from "./verification-pool.ts";

/** How an object came into the store. */
export type Origin = "import" | "build" | "register";

export interface StoreParts {
  readonly directory: StoreDirectory;
  readonly database: StoreDatabase;
  readonly objects: ObjectTable;
  readonly intents: IntentTable;
  readonly files: ObjectFiles;
  readonly syncer: Syncer;
  /** Looks at trees in threads. */
  readonly hashing: VerificationPool;
  /** Hashes large objects while they are received, or looked at before they are published. */
  readonly digests: DigestThread;
  /** Memory for small objects while they are received. */
  readonly smallFiles: SmallFiles;
  /** Reads large objects while they are sent. */
  readonly reading: ReadingThread;
  readonly reserve: Reserve;
  readonly roots: TemporaryRoots;
  /** What collections keep for good. */
  readonly lastingRoots: RootTable;
  /** When objects were last used. */
  readonly usage: Usage;
  /** One writer per path. Whoever needs several takes them in the order of the paths. */
  readonly locks: KeyedMutex;
  /** Where the analysis of Mach-O files keeps what it cannot hold in memory. */
  readonly buffers: MachoBufferCreator | undefined;
  readonly log: Log;
  readonly onAdded: (info: ObjectInfo, origin: Origin) => void;
}
