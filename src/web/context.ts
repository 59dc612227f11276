/** What the routes of the page work with. */
import type { Server } from "../server/server.ts";
import type { Activity } from "./activity.ts";
import type { Doctor } from "./doctor.ts";
import type { HoldingsReader } from "./holdings.ts";
import type { Metrics } from "./metrics.ts";

export interface WebContext {
  readonly server: Server;
  readonly activity: Activity;
  readonly metrics: Metrics;
  readonly doctor: Doctor;
  readonly holdings: HoldingsReader;
  readonly mode: "daemon" | "embedded";
  /** How long builds are kept, in milliseconds; undefined: for ever. */
  readonly retention: number | undefined;
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number;
  /** What an administrator has to say; without one nothing can be changed. */
  readonly token: string | undefined;
}
