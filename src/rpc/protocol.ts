/**
 * Every method of the store protocol: its name, its parameters, its result.
 *
 * `zb.*` are zb's methods as v0.1.0 and v0.2 know them; results may have more members than zb's. `kiln.*` are Kiln's own: a client
 * finds out by `kiln.hello`, which zb answers with "method not found" (`rpc.method`). The meaning is in docs/protocol.md, the
 * checkers are in checkers.ts.
 *
 * Members of parameters marked `?` may be missing or null. Store paths are of any directory: whether they are of this store is for
 * the handler to say.
 */
import type { StorePath } from "../format/store-path.ts";

/** zb's words for how a build or one of its results is doing. */
export type BuildStatus = "unknown" | "active" | "success" | "fail" | "error";

/** What `zb.info` says of an object. */
export interface ObjectInfoMessage {
  /** `sha256-<base64>` */
  readonly narHash: string;
  /** Bytes. */
  readonly narSize: number;
  /** Sorted, the object itself included if it refers to itself. */
  readonly references: readonly StorePath[];
  /** Content address; empty when there is none. */
  readonly ca: string;
}

/** An output of a derivation; `path` is null until it is known. */
export interface OutputMessage {
  readonly name: string;
  readonly path: StorePath | null;
  /** Signatures of the realization. Absent from zb v0.1.0. */
  readonly signatures?: readonly SignatureMessage[] | undefined;
}

export interface SignatureMessage extends PublicKeyMessage {
  /** Base64, 64 bytes. */
  readonly signature: string;
}

export interface PublicKeyMessage {
  readonly format: "ed25519";
  /** Base64, 32 bytes. */
  readonly publicKey: string;
}

/** One derivation of a build. */
export interface BuildResultMessage {
  readonly drvPath: StorePath;
  readonly status: BuildStatus;
  /** Sorted by name. */
  readonly outputs: readonly OutputMessage[];
  /** Bytes of its log so far. */
  readonly logSize: number;
  /** Hash of the derivation with its inputs realized (SRI), null until they are. Absent from zb v0.1.0. */
  readonly drvHash?: string | null | undefined;
}

/** A derivation as its builder would be started. */
export interface ExpansionMessage {
  readonly builder: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export interface BuildMessage {
  readonly id: string;
  readonly status: BuildStatus;
  /** RFC 3339; `0001-01-01T00:00:00Z` for an unknown build. */
  readonly startedAt: string;
  /** RFC 3339; null while it runs. */
  readonly endedAt: string | null;
  /** Derivations reached so far. */
  readonly results: readonly BuildResultMessage[];
  /** Only of a successful `zb.expand`. */
  readonly expand?: ExpansionMessage | undefined;
}

/**
 * Which earlier realizations a build may use. Missing: all (a client of v0.1.0, which knows no reuse). Null, empty, or no key: none.
 * Use {@link reuseOf} to read it.
 */
export interface ReuseMessage {
  readonly all?: boolean | undefined;
  readonly publicKeys?: readonly PublicKeyMessage[] | undefined;
}

/** What a user calls a derivation. */
export interface TargetMessage {
  readonly name: string;
  readonly drvPath: StorePath;
}

/** Who and where a server is. */
export interface HelloMessage {
  readonly name: "kiln";
  readonly version: string;
  /** Version of the `kiln.*` methods. */
  readonly protocol: number;
  readonly pid: number;
  readonly storeDirectory: string;
  readonly realStoreDirectory: string;
  /** What this machine builds for: `x86_64-linux`. */
  readonly system: string;
  /** How many builders run at once. */
  readonly jobs: number;
  /** Paths of the host that builders may ask for in `__buildSystemDeps`. */
  readonly systemDeps: readonly string[];
  /** What whoever asks may do: `reader` (look), `user` (also import and build), `trusted` (everything). */
  readonly role?: string | undefined;
  /** How builders are isolated: `sandbox`, `none` if they are not, `auto` if that was not found out yet. */
  readonly sandbox: string;
  /** The same for people: which namespaces, or why there are none. */
  readonly isolation?: string | undefined;
  /** Where its web page is, when it has one. */
  readonly page?: string | undefined;
}

/** What became of one object of an import. */
export interface ImportReportMessage {
  /** As the stream named it; need not be a store path. */
  readonly storePath: string;
  readonly status: "imported" | "present" | "rejected";
  /** Why it was rejected. */
  readonly code?: string | undefined;
  readonly message?: string | undefined;
  /** What to do about it. */
  readonly hint?: string | undefined;
}

/** An object in a list. */
export interface ListedObjectMessage {
  readonly path: StorePath;
  /** Bytes of its NAR. */
  readonly narSize: number;
}

/** An object of a closure. */
export interface ObjectNodeMessage extends ListedObjectMessage {
  /** Those in the closure, sorted. */
  readonly references: readonly StorePath[];
}

/** Something that keeps an object, and all it refers to, from being collected. */
export interface RootMessage {
  /** A name, or the absolute path of a link. */
  readonly name: string;
  /** `link`: counts for as long as the link is there. */
  readonly kind: "name" | "link";
  readonly path: StorePath;
  /** Who made it; null where that is not known. */
  readonly user: string | null;
  /** RFC 3339 */
  readonly createdAt: string;
}

/** What a collection removed. */
export interface CollectionMessage {
  /** What was removed (or would be), at most 100,000 of it. */
  readonly removed: readonly ListedObjectMessage[];
  /** How many that are in all, and bytes of their NARs. */
  readonly count: number;
  readonly bytes: number;
  readonly left: { readonly count: number; readonly bytes: number };
  /** How many of those no root needs: they stay because they were used lately. */
  readonly recent: number;
}

/** How far a long request is; `total` is what is known of it now. */
export interface ProgressMessage {
  readonly done: number;
  readonly total: number;
  readonly bytes: number;
}

/** Parameters of the notification `kiln.progress`. */
export interface ProgressNotification {
  /** Id of the request. */
  readonly request: string | number | null;
  readonly progress: ProgressMessage;
}

/** An object that is not what the store says, or something else that is wrong. */
export interface DamageMessage {
  readonly path: StorePath;
  /** `missing`, `contents` (other bytes, names, links or executable marks), `metadata` (modes, times, owner), `unreadable`. */
  readonly kind: "missing" | "contents" | "metadata" | "unreadable";
  /** For people. */
  readonly message: string;
  /** What was done: null when nothing was asked for. */
  readonly repair: "repaired" | "quarantined" | "failed" | null;
  /** Why it could not be repaired. */
  readonly failure?: string | undefined;
}

/** What a verification found. */
export interface VerificationMessage {
  readonly checked: number;
  /** Bytes of NARs that were read. */
  readonly bytes: number;
  readonly damaged: readonly DamageMessage[];
  /** Names in the store directory that are no objects: left alone. At most 1,000. */
  readonly foreign: readonly string[];
}

/** A build in a list. */
export interface BuildSummaryMessage {
  readonly id: string;
  readonly status: BuildStatus;
  /** Finer than the status: `running`, `built`, `cancelled`. */
  readonly state: string;
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly targets: readonly TargetMessage[];
  /** How many results are in each state; absent states have none. */
  readonly counts: Readonly<Record<string, number>>;
  readonly user?: string | null | undefined;
}

/** One derivation of a build, with all that is known of it. */
export interface KilnResultMessage {
  readonly drvPath: StorePath;
  readonly name: string;
  readonly state: string;
  /** zb's word; null for results that zb would not show. */
  readonly status: BuildStatus | null;
  /** Why it was built; null for what was reused. */
  readonly reason: { readonly code: string; readonly detail?: unknown } | null;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly durationMs: number | null;
  readonly outputs: readonly OutputMessage[];
  readonly logSize: number;
  /** How its builder was run: `sandbox`, `process` (not isolated), `builtin`; null when none was. */
  readonly executor?: string | null | undefined;
  /** How that kept it apart from the machine, for people; `none: why` if it did not. */
  readonly isolation?: string | null | undefined;
  readonly drvHash?: string | null | undefined;
  readonly failure: {
    readonly kind: string;
    readonly code: string;
    readonly message: string;
  } | null;
}

/** What a build would do. */
export interface PlanMessage {
  readonly counts: { readonly reuse: number; readonly substitute: number; readonly build: number };
  /** Bytes to fetch. */
  readonly downloadSize: number;
  /** About how long it would take; null when something was never built before. */
  readonly estimateMs: number | null;
  /** What is not reused, inputs first. */
  readonly results: readonly PlannedResultMessage[];
}

export interface PlannedResultMessage {
  readonly drvPath: StorePath;
  readonly name: string;
  readonly action: "reuse" | "substitute" | "build";
  /** Derivations it takes outputs of. */
  readonly inputs: readonly StorePath[];
  readonly reason: { readonly code: string; readonly detail?: unknown } | null;
  readonly estimateMs: number | null;
}

/** An event of a build; more members by type. */
export interface EventMessage {
  readonly v: number;
  /** Counts the events of a build from 1. */
  readonly seq: number;
  readonly time: string;
  readonly type: string;
  readonly buildID: string;
}

/** Parameters of the notification `kiln.event`. */
export interface EventNotification {
  /** Id of the `kiln.watch` request. */
  readonly watch: string | number | null;
  readonly event: EventMessage;
}

/**
 * How an export message names the request it belongs to: v0.1.0 repeats the id of the request, as JSON text; v0.2 repeats the
 * string that the request had in its extra member {@link exportIDMember}. Kiln sends both.
 */
export const requestIDHeader = "X-Request-Id";
export const exportIDHeader = "Zb-Export-Id";

/** The member of a request's message that names its export. */
export const exportIDMember = "zbExportID";

/** The notification `kiln.event`: from the server to a client whose `kiln.watch` runs. */
export const eventMethod = "kiln.event";

/** The notification `kiln.progress`: to a client whose request takes long. */
export const progressMethod = "kiln.progress";

interface PathsParams {
  readonly paths: readonly StorePath[];
}

interface BuildParams {
  readonly buildID: string;
}

interface BuildStarted {
  readonly buildID: string;
}

// oxlint-disable-next-line typescript/no-empty-object-type
type NoParams = {};

/** Parameters and result by method. */
export interface Methods {
  "zb.exists": { params: { readonly path: string }; result: boolean };
  "zb.info": {
    /** No path is one of which nothing is known. */
    params: { readonly path?: StorePath | undefined };
    result: { readonly info: ObjectInfoMessage | null };
  };
  "zb.export": {
    params: PathsParams & {
      /** Default false. */
      readonly excludeReferences?: boolean | undefined;
    };
    result: null;
  };
  "zb.expand": {
    params: {
      readonly drvPath: StorePath;
      /** Default, and if empty: `/tmp`. */
      readonly tempDir?: string | undefined;
      readonly reuse?: ReuseMessage | null | undefined;
    };
    result: BuildStarted;
  };
  "zb.realize": {
    params: {
      /** At least one, each a derivation. */
      readonly drvPath: readonly StorePath[];
      /** Default false. */
      readonly keepFailed?: boolean | undefined;
      readonly reuse?: ReuseMessage | null | undefined;
      /** Kiln's: whether independent work goes on after a failure. Default true. */
      readonly keepGoing?: boolean | undefined;
      /** Kiln's: whether to build them also where they are there, to see whether the same comes out. Default false. */
      readonly check?: boolean | undefined;
      /** Kiln's: what the user calls these derivations. */
      readonly targets?: readonly TargetMessage[] | undefined;
    };
    result: BuildStarted;
  };
  "kiln.plan": {
    params: {
      readonly drvPath: readonly StorePath[];
      readonly reuse?: ReuseMessage | null | undefined;
      readonly check?: boolean | undefined;
    };
    result: PlanMessage;
  };
  "zb.getBuild": { params: BuildParams; result: BuildMessage };
  "zb.getBuildResult": {
    params: BuildParams & { readonly drvPath: StorePath };
    result: BuildResultMessage;
  };
  "zb.cancelBuild": { params: BuildParams; result: null };
  "zb.readLog": {
    params: BuildParams & {
      /** Without one there is no log. */
      readonly drvPath?: StorePath | undefined;
      /** First byte. Default 0. */
      readonly rangeStart?: number | undefined;
      /** The byte after the last; more than the start. Default: no end. */
      readonly rangeEnd?: number | undefined;
    };
    /** `text` if it is UTF-8, else `base64`, neither if there are no bytes. */
    result: {
      readonly text?: string | undefined;
      readonly base64?: string | undefined;
      readonly eof: boolean;
    };
  };
  "zb.nop": { params: NoParams; result: null };
  "zb.fetch": {
    params: PathsParams;
    result: { readonly found: Readonly<Record<string, ObjectInfoMessage>> };
  };
  "kiln.hello": { params: NoParams; result: HelloMessage };
  "kiln.missing": { params: PathsParams; result: { readonly missing: readonly StorePath[] } };
  "kiln.importReport": {
    params: NoParams;
    result: { readonly reports: readonly ImportReportMessage[] };
  };
  "kiln.delete": {
    params: PathsParams & {
      /** Also what refers to them. Default false. */
      readonly recursive?: boolean | undefined;
    };
    result: { readonly deleted: readonly StorePath[] };
  };
  "kiln.roots": { params: NoParams; result: { readonly roots: readonly RootMessage[] } };
  "kiln.addRoot": {
    params: {
      /** A name, or the absolute path of a link to an object. */
      readonly name: string;
      /** Of a link none is given. */
      readonly path?: StorePath | undefined;
    };
    result: { readonly root: RootMessage };
  };
  "kiln.removeRoot": { params: { readonly name: string }; result: null };
  "kiln.collect": {
    params: {
      /** Only these and what refers to them. */
      readonly paths?: readonly StorePath[] | undefined;
      /** Keep what was used within these milliseconds. Default 600,000; with `paths` 0. */
      readonly olderThan?: number | undefined;
      /** Stop when the objects have these bytes in all. */
      readonly maxSize?: number | undefined;
      /** Stop when the disk has these bytes free. */
      readonly keepFree?: number | undefined;
      /** Only tell. Default false. */
      readonly dryRun?: boolean | undefined;
    };
    result: CollectionMessage;
  };
  "kiln.verify": {
    params: {
      /** Only these. Default: all. */
      readonly paths?: readonly StorePath[] | undefined;
      /** Read every byte. Default false: only of objects in which something was changed. */
      readonly contents?: boolean | undefined;
      /** Only objects whose bytes were last read before this time, in milliseconds since the Unix epoch. */
      readonly before?: number | undefined;
      /** Mend what is damaged. Default false. */
      readonly repair?: boolean | undefined;
    };
    result: VerificationMessage;
  };
  "kiln.register": {
    params: {
      /** One record as `store object info` prints it. */
      readonly info: string;
    };
    result: null;
  };
  "kiln.objects": {
    params: {
      /** Those after this path. Default: from the beginning. */
      readonly after?: StorePath | undefined;
      /** Default and most: 10,000. */
      readonly limit?: number | undefined;
    };
    /** Sorted by path; fewer than `limit` at the end. */
    result: { readonly objects: readonly ListedObjectMessage[] };
  };
  "kiln.closure": {
    params: PathsParams & {
      /** What refers to the paths, instead of what they refer to. Default false. */
      readonly referrers?: boolean | undefined;
    };
    /** Sorted by path. */
    result: { readonly objects: readonly ObjectNodeMessage[] };
  };
  "kiln.builds": {
    params: {
      /** Default 25, at most 1,000. */
      readonly limit?: number | undefined;
      /** Only those that have not ended, however many have since they began. */
      readonly running?: boolean | undefined;
    };
    result: { readonly builds: readonly BuildSummaryMessage[] };
  };
  "kiln.results": {
    params: BuildParams;
    result: { readonly results: readonly KilnResultMessage[] };
  };
  "kiln.watch": {
    params: BuildParams & {
      /** The `seq` of the last event that is known. Default 0: all from the beginning. */
      readonly after?: number | undefined;
      /** Also `log` events: all that the builders write, or only the newest lines a few times a second. Default: none. */
      readonly logs?: "all" | "tail" | undefined;
    };
    result: null;
  };
}

/** The name of a method. */
export type Method = keyof Methods;

/** What a method takes. */
export type Params<M extends Method> = Methods[M]["params"];

/** What a method answers. */
export type Result<M extends Method> = Methods[M]["result"];

/** Reuse as the build service wants it. */
export type Reuse = "all" | "none" | { readonly publicKeys: readonly PublicKeyMessage[] };

/** What `reuse` in the parameters means: absence is v0.1.0, where everything may be reused. */
export function reuseOf(params: { readonly reuse?: ReuseMessage | null | undefined }): Reuse {
  const { reuse } = params;
  if (reuse === undefined || reuse?.all === true) return "all";
  const publicKeys = reuse?.publicKeys ?? [];
  return publicKeys.length > 0 ? { publicKeys } : "none";
}

/** Methods whose requests spend their time waiting: they do not count against the limit of requests in flight. */
export const waitingMethods: ReadonlySet<string> = new Set<Method>([
  "zb.readLog",
  "kiln.watch",
  "kiln.collect",
  "kiln.verify",
]);
