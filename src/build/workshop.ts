import type { MachoBufferCreator } from "../format/references/self-references.ts";
import type { SigningKey } from "../format/signature.ts";
import type { BuildTable } from "../store/database/builds.ts";
import type { RealizationTable } from "../store/database/realizations.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../util/clock.ts";
import type { KeyedMutex } from "../util/keyed-mutex.ts";
import type { Limiter } from "../util/limiter.ts";
import type { BuildUsers } from "./build-users.ts";
import type { DerivationReader } from "./derivation-reader.ts";
import type { Executor } from "./executor.ts";
import type { SignatureCheck } from "./snapshot.ts";

export type Log = (level: "debug" | "info" | "warn" | "error", text: string) => void;

export interface Executors {
  /** Runs programs. */
  readonly native: Executor & Partial<AsyncDisposable>;
  /** Runs derivations whose system is `builtin`. */
  readonly builtin: Executor & Partial<AsyncDisposable>;
}

/** What all builds of a store share. */
export interface Workshop {
  readonly store: Store;
  readonly reader: DerivationReader;
  readonly table: BuildTable;
  readonly realizations: RealizationTable;
  readonly executors: Executors;
  /** Places for builders, in the whole daemon. */
  readonly places: Limiter;
  readonly users: BuildUsers;
  /** By derivation path, and by derivation hash. */
  readonly derivationLocks: KeyedMutex;
  /** This machine's system. */
  readonly host: string;
  readonly mode: "daemon" | "embedded";
  readonly coresPerBuild: number;
  /** Host paths that derivations may name in `__buildSystemDeps`. */
  readonly sandboxPaths: ReadonlySet<string>;
  readonly logDirectory: string;
  readonly buildDirectory: string;
  readonly allowKeepFailed: boolean;
  readonly checkSignature: SignatureCheck;
  /** Each of them signs every new realisation. */
  readonly signingKeys: readonly SigningKey[];
  readonly buffers: MachoBufferCreator | undefined;
  readonly clock: Clock;
  readonly log: Log;
}
