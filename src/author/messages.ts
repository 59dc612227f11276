/**
 * What client and child process say to each other. Each message is a line of JSON.
 *
 *     client -> child, fd 3:  Instructions, then Wish
 *     child -> client, fd 3:  Report (a plan or a failure), and a failure if the stream breaks off
 *     child -> client, fd 4:  the export stream, after the Wish
 *
 * Standard input is empty and standard output goes to standard error: both are the build file's.
 */
import type { ErrorKind } from "../util/kiln-error.ts";
import type { TargetListing } from "./listing.ts";
import type { Place } from "./place.ts";

export const messageDescriptor = 3;
export const streamDescriptor = 4;

export interface Instructions {
  /** Absolute. */
  readonly file: string;
  /** How messages name it. */
  readonly shownFile: string;
  /** What stands before the `#` where one of its targets is named: the file or its folder, as it was written. */
  readonly location: string;
  readonly targets: readonly string[];
  readonly args: Readonly<Record<string, string | true>>;
  readonly storeDirectory: string;
  readonly system?: string;
  readonly env: Readonly<Record<string, string>>;
  readonly forbiddenEnv: readonly string[];
  readonly cacheDirectory?: string;
}

/** The objects to send, of those in the plan. */
export interface Wish {
  readonly missing: readonly string[];
}

export interface Plan {
  readonly type: "plan";
  readonly wanted: readonly { target: string; name: string; drvPath: string; output?: string }[];
  readonly targets: readonly TargetListing[];
  /** Closed, references first; a reference is the index of an object before. */
  readonly objects: readonly { path: string; references: readonly number[] }[];
  readonly modules: readonly string[];
  readonly filesRead: readonly string[];
}

export interface Failure {
  readonly type: "failure";
  readonly code: string;
  readonly kind: ErrorKind;
  readonly message: string;
  readonly hint?: string;
  readonly place?: Place;
  /** The line at the place. */
  readonly line?: string;
  readonly frames: readonly Frame[];
}

/** A call on the way to the fault, outside Kiln and Node. */
export interface Frame extends Place {
  /** The function; empty for a module's own code. */
  readonly name: string;
}

export type Report = Plan | Failure;
