/** Routes about the daemon and its disk. */
import { statfsSync } from "node:fs";
import { z } from "zod";
import { hostSystem } from "../../build/system.ts";
import { largestNames, searchObjects, totalAmount } from "../../store/database/inventory.ts";
import { kilnVersion } from "../../server/version.ts";
import { nameOf } from "../../format/store-path.ts";
import type { Collected } from "../../store/collection.ts";
import type { PastCollection, PastVerification } from "../../store/care.ts";
import type { CollectedMessage } from "./messages.ts";
import { timeText } from "../views.ts";
import { listedMessage } from "./objects.ts";
import { get, post, type Route } from "./route.ts";
import * as schemas from "./schemas.ts";

const nothing = z.object({});
const collection = z.object({
  olderThan: z.coerce
    .number()
    .int()
    .min(0)
    .optional()
    .describe("Keep what was used within this many milliseconds; default ten minutes"),
});

/** Objects that are named of a collection. */
const mostNamed = 1000;

function collectedMessage({ count, bytes, removed, recent, left }: Collected): CollectedMessage {
  return {
    count,
    size: bytes,
    objects: removed.slice(0, mostNamed).map(({ path, narSize }) => ({
      path,
      name: nameOf(path),
      narSize,
    })),
    recent,
    leftCount: left.count,
    leftSize: left.bytes,
  };
}

function pastMessage<T extends PastCollection | PastVerification>(
  past: T | undefined,
): (Omit<T, "endedAt"> & { readonly endedAt: string }) | null {
  return past === undefined ? null : { ...past, endedAt: timeText(past.endedAt) };
}

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
    handle: async (_params, { server: { store }, holdings }) => {
      const { heldByRoots, collectableCount, collectableSize } = await holdings.read();
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
        heldByRoots,
        collectableObjects: collectableCount,
        collectableSize,
        lastCollection: pastMessage(store.care.lastCollection),
        lastVerification: pastMessage(store.care.lastVerification),
        largestNames: largestNames(store.database, 25),
        largestObjects: largest.objects.map(listedMessage),
      };
    },
  }),
  get({
    path: "/roots",
    summary: "What collections keep: what they alone hold, the most first",
    params: nothing,
    result: schemas.roots,
    handle: async (_params, { holdings }) => {
      const { roots } = await holdings.read();
      return {
        roots: roots.map(({ root, ...amounts }) => ({
          name: root.name,
          kind: root.kind,
          path: root.target,
          user: root.user ?? null,
          createdAt: timeText(root.createdAt),
          ...amounts,
        })),
      };
    },
  }),
  get({
    path: "/collection",
    summary: "What a collection would remove; nothing is changed",
    params: collection,
    result: schemas.collected,
    handle: async ({ olderThan }, { server }, { signal }) =>
      collectedMessage(await server.store.collect({ dryRun: true, olderThan, signal })),
  }),
  post({
    path: "/collection",
    summary: "Remove what no root needs",
    params: collection,
    result: schemas.collected,
    handle: async ({ olderThan }, { server, holdings }, { signal }) => {
      const collected = await server.store.collect({ olderThan, signal });
      holdings.forget();
      return collectedMessage(collected);
    },
  }),
  post({
    path: "/roots/remove",
    summary: "Let a root keep nothing any more; a link itself stays where it is",
    params: z.object({ name: z.string().min(1).max(8192) }),
    result: z.object({ removed: z.string() }),
    handle: async ({ name }, { server, holdings }) => {
      await server.store.removeRoot(name);
      holdings.forget();
      return { removed: name };
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
