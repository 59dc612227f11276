import type { MachoBufferCreator } from "../format/references/self-references.ts";
import type { SigningKey } from "../format/signature.ts";
import { BuildTable } from "../store/database/builds.ts";
import { RealizationTable } from "../store/database/realizations.ts";
import { isValidSignature } from "../store/realization-signatures.ts";
import type { Store } from "../store/store.ts";
import { type Clock, systemClock } from "../util/clock.ts";
import { KeyedMutex } from "../util/keyed-mutex.ts";
import { Limiter } from "../util/limiter.ts";
import { BuildUsers } from "./build-users.ts";
import { DerivationReader } from "./derivation-reader.ts";
import type { BuildEvent } from "./events.ts";
import type { BuildUser } from "./executor.ts";
import type { Executors } from "./executors.ts";
import { Lookahead } from "./lookahead.ts";
import type { SignatureCheck } from "./snapshot.ts";
import { hostSystem } from "./system.ts";

export type LogFields = Readonly<Record<string, string | number | boolean>>;
export type Log = (
  level: "debug" | "info" | "warn" | "error",
  text: string,
  fields?: LogFields,
) => void;

/** What a build is run under. */
export interface BuildScope {
  /** Ends the build when it aborts. */
  readonly signal?: AbortSignal;
  /** Go with what the log says about the build. */
  readonly logFields?: LogFields;
}

/** What all builds of a store share. */
export interface Workshop {
  readonly store: Store;
  readonly reader: DerivationReader;
  readonly table: BuildTable;
  readonly realizations: RealizationTable;
  readonly executors: Executors;
  /** Places for builders that run, in the whole daemon. */
  readonly places: Limiter;
  readonly lookahead: Lookahead;
  /** Turns for what builders have left: they come one after the other sooner than that gets to disk. */
  readonly registrations: Limiter;
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
  /** Told of everything that happens in any build. */
  readonly watchers: Set<(event: BuildEvent) => void>;
}

export interface BuildServiceOptions {
  readonly store: Store;
  /** They are closed with the service. */
  readonly executors: Executors;
  /** Builders at the same time. */
  readonly jobs: number;
  /** A hint to builders. */
  readonly coresPerBuild: number;
  /** Where builders' logs go. */
  readonly logDirectory: string;
  /** Parent of the builders' directories. */
  readonly buildDirectory: string;
  /** Whether a request may ask to keep the directories of failed builders. */
  readonly allowKeepFailed: boolean;
  /** Host paths that derivations may name in `__buildSystemDeps`; default none. */
  readonly sandboxPaths?: Iterable<string>;
  /** Who runs builders, one of them each; default: this process's user runs all. */
  readonly buildUsers?: readonly BuildUser[];
  /** Called for each new build. */
  readonly buildContext?: ((buildID: string) => BuildScope) | undefined;
  /** How long ended builds and their logs are kept, in milliseconds; default, and for 0 or less: for ever. */
  readonly retention?: number | undefined;
  /** For those who watch; default `daemon`. */
  readonly mode?: "daemon" | "embedded" | undefined;
  /** Whether a signature under a realisation is valid; default: whether it is. */
  readonly checkSignature?: SignatureCheck;
  /** Each of them signs every new realisation; default none. */
  readonly signingKeys?: readonly SigningKey[] | undefined;
  readonly buffers?: MachoBufferCreator | undefined;
  /** This machine's system; default: what it is. */
  readonly host?: string;
  readonly clock?: Clock;
  readonly log?: Log | undefined;
}

export function openWorkshop(options: BuildServiceOptions): Workshop {
  const { store } = options;
  return {
    store,
    reader: new DerivationReader(store, { clock: options.clock }),
    table: new BuildTable(store.database),
    realizations: new RealizationTable(store.database),
    executors: options.executors,
    places: new Limiter(options.jobs),
    lookahead: new Lookahead(options.jobs),
    registrations: new Limiter(4 * options.jobs),
    users: new BuildUsers(options.buildUsers ?? []),
    derivationLocks: new KeyedMutex(),
    host: options.host ?? hostSystem(),
    mode: options.mode ?? "daemon",
    coresPerBuild: options.coresPerBuild,
    sandboxPaths: new Set(options.sandboxPaths),
    logDirectory: options.logDirectory,
    buildDirectory: options.buildDirectory,
    allowKeepFailed: options.allowKeepFailed,
    checkSignature: options.checkSignature ?? isValidSignature,
    signingKeys: options.signingKeys ?? [],
    buffers: options.buffers,
    clock: options.clock ?? systemClock,
    log: options.log ?? (() => undefined),
    watchers: new Set(),
  };
}
