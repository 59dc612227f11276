/** Routes about the daemon and its disk. */
import { statfsSync } from "node:fs";
import { z } from "zod";
import { hostSystem } from "../../build/system.ts";
import { largestNames, searchObjects, totalAmount } from "../../store/database/inventory.ts";
import { kilnVersion } from "../../server/version.ts";
import { timeText } from "../views.ts";
import { listedMessage } from "./objects.ts";
import { get, post, type Route } from "./route.ts";
import * as schemas from "./schemas.ts";

const nothing = z.object({});

export const statusRoutes: readonly Route[] = [
  get({
    path: "/health",
    summary: "How the daemon is doing, with what kiln doctor finds",
    params: nothing,
    result: schemas.health,
    handle: async (_params, context) => {
      const { server, activity, mode, startedAt, token, doctor } = context;
      const { builds, jobs, jobsUsed, waiting } = activity.running();
      const findings = await doctor.findings();
      return {
        version: kilnVersion,
        node: process.versions.node,
        system: hostSystem(),
        pid: process.pid,
        startedAt: timeText(startedAt),
        storeDirectory: server.store.directory,
        mode,
        isolation: server.hello().isolation ?? "auto",
        jobs,
        jobsUsed,
        runningBuilds: builds.length,
        waiting,
        memory: process.memoryUsage.rss(),
        findings: findings.map(({ hint, ...finding }) => ({ ...finding, hint: hint ?? null })),
        administrable: token !== undefined,
      };
    },
  }),
  get({
    path: "/disk",
    summary: "What the store takes, and what takes most of it",
    params: nothing,
    result: schemas.disk,
    handle: (_params, { server: { store } }) => {
      const { bavail, blocks, bsize } = statfsSync(store.realDirectory);
      const { count, narSize } = totalAmount(store.database);
      const largest = searchObjects(store.database, { sort: "size", limit: 25 });
      return {
        storeDirectory: store.directory,
        realStoreDirectory: store.realDirectory,
        objects: count,
        narSize,
        free: bavail * bsize,
        total: blocks * bsize,
        largestNames: largestNames(store.database, 25),
        largestObjects: largest.objects.map(listedMessage),
      };
    },
  }),
  post({
    path: "/session",
    summary: "Whether a token is the administrator's: says so, or refuses",
    params: nothing,
    result: z.object({ administrator: z.literal(true) }),
    handle: () => ({ administrator: true as const }),
  }),
];
