/**
 * All jobs, in the order of the table. Those with a large object are last: whoever has one in memory takes long to start a program, such as
 * the next daemon.
 */
import type { Job } from "../job.ts";
import { builds, outputs, sandboxedBuilds, sleeping } from "./builds.ts";
import { deletion } from "./delete.ts";
import { exportClosures, exportLarge, exportSmall } from "./export.ts";
import { importLarge, importSmall, importTree } from "./import.ts";
import { others } from "./others.ts";
import { questions } from "./questions.ts";
import { largeStore, start } from "./start.ts";

export const jobs: readonly Job[] = [
  importSmall,
  importTree,
  exportSmall,
  exportClosures,
  questions,
  deletion,
  builds,
  sandboxedBuilds,
  outputs,
  sleeping,
  start,
  largeStore,
  importLarge,
  exportLarge,
  others,
];
