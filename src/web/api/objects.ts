/** Routes about what is in the store. */
import { createReadStream, openSync, constants, closeSync, fstatSync } from "node:fs";
import { Readable } from "node:stream";
import { z } from "zod";
import { dumpNar } from "../../files/dump.ts";
import { printContentAddress } from "../../format/content-address.ts";
import { derivationToJson } from "../../format/derivation/json.ts";
import {
  isDerivationPath,
  nameOf,
  parsePathInDirectory,
  type StorePath,
} from "../../format/store-path.ts";
import { notInStore } from "../../store/database/objects.ts";
import {
  closureAmount,
  type InventoryEntry,
  registrationTime,
  searchObjects,
} from "../../store/database/inventory.ts";
import type { Store } from "../../store/store.ts";
import { hasCode, KilnError } from "../../util/kiln-error.ts";
import { describeFile, findInside, type FoundFile } from "../object-files.ts";
import { tarOf } from "../tar.ts";
import { timeText } from "../views.ts";
import type { Server } from "../../server/server.ts";
import type {
  ClosureMessage,
  ListedObjectMessage,
  RealisationMessage,
  RelatedObjectsMessage,
} from "./messages.ts";
import { derivationPath, flag, storePath } from "./params.ts";
import { bytes, get, post, type Route } from "./route.ts";
import * as schemas from "./schemas.ts";

const one = z.object({ path: storePath });
const several = z.object({
  path: storePath,
  limit: z.coerce.number().int().min(1).max(5000).default(200),
});
/** A store path, or a path inside an object. */
const inside = z.object({ path: z.string().max(16_384) });

export const objectRoutes: readonly Route[] = [
  get({
    path: "/objects",
    summary: "Objects whose path has a text in it",
    params: z.object({
      q: z.string().default("").describe("Part of the path, in any case"),
      sort: z.enum(["path", "size", "time"]).default("time"),
      offset: z.coerce.number().int().min(0).default(0),
      limit: z.coerce.number().int().min(1).max(1000).default(100),
    }),
    result: schemas.objects,
    handle: ({ q, ...query }, { server }) => {
      const { total, objects } = searchObjects(server.store.database, { text: q, ...query });
      return { total, objects: objects.map(listedMessage) };
    },
  }),
  get({
    path: "/objects/info",
    summary: "One object",
    params: one,
    result: schemas.object,
    handle: ({ path }, { server }) => {
      const { store, builds } = server;
      const info = store.info(path);
      if (info === undefined) throw notInStore(path);
      const closure = closureAmount(store.database, path);
      return {
        path,
        name: nameOf(path),
        narSize: info.narSize,
        narHash: info.narHash.sri(),
        registeredAt: timeText(registrationTime(store.database, path) ?? 0),
        ca: info.ca === undefined ? null : printContentAddress(info.ca),
        references: info.references.length,
        referrers: store.referrers(path).length,
        closureCount: closure.count,
        closureSize: closure.narSize,
        isDerivation: isDerivationPath(path),
        madeBy: builds.records.resultsWith(path, 5).map((maker) => ({
          ...maker,
          name: nameOf(maker.drvPath).replace(/\.drv$/, ""),
          endedAt: maker.endedAt === undefined ? null : timeText(maker.endedAt),
        })),
      };
    },
  }),
  get({
    path: "/objects/references",
    summary: "What an object refers to",
    params: several,
    result: schemas.relatedObjects,
    handle: ({ path, limit }, { server: { store } }) => {
      const info = store.info(path);
      if (info === undefined) throw notInStore(path);
      return related(store, path, info.references, limit);
    },
  }),
  get({
    path: "/objects/referrers",
    summary: "What refers to an object",
    params: several,
    result: schemas.relatedObjects,
    handle: ({ path, limit }, { server: { store } }) => {
      if (!store.has(path)) throw notInStore(path);
      return related(store, path, store.referrers(path), limit);
    },
  }),
  get({
    path: "/objects/closure",
    summary: "An object and all it refers to, or all that refers to it, directly or not",
    params: several.extend({ referrers: flag.default(false) }),
    result: schemas.closure,
    handle: ({ path, limit, referrers }, { server: { store } }) =>
      closureMessage(store, path, { limit, referrers }),
  }),
  get({
    path: "/objects/files",
    summary: "What lies in an object, or in a directory inside one",
    params: inside,
    result: schemas.files,
    handle: ({ path }, { server: { store } }) => {
      const place = located(store, path);
      return describeFile(findInside(store, place.path, place.sub), path);
    },
  }),
  bytes({
    path: "/objects/file",
    summary: "The contents of a file inside an object",
    params: inside.extend({ download: flag.default(false) }),
    contentType: "text/plain; charset=utf-8",
    handle: ({ path, download }, { server: { store } }) => {
      const place = located(store, path);
      const found = findInside(store, place.path, place.sub);
      const name = path.slice(path.lastIndexOf("/") + 1);
      return fileAnswer(found, download ? name : undefined);
    },
  }),
  bytes({
    path: "/objects/nar",
    summary: "An object as NAR",
    params: one,
    contentType: "application/x-nix-nar",
    handle: ({ path }, { server: { store } }) => {
      const info = store.info(path);
      if (info === undefined) throw notInStore(path);
      return {
        headers: {
          "content-type": "application/x-nix-nar",
          "content-length": info.narSize,
          ...attachment(`${nameOf(path)}.nar`),
        },
        body: Readable.from(dumpNar(store.realPath(path)), { objectMode: false }),
      };
    },
  }),
  bytes({
    path: "/objects/tar",
    summary: "An object as tar archive",
    params: one,
    contentType: "application/x-tar",
    handle: ({ path }, { server: { store } }) => {
      if (!store.has(path)) throw notInStore(path);
      const name = nameOf(path);
      return {
        headers: { "content-type": "application/x-tar", ...attachment(`${name}.tar`) },
        body: tarOf(store.realPath(path), name),
      };
    },
  }),
  get({
    path: "/derivation",
    summary: "A derivation: what a builder gets",
    params: z.object({ path: derivationPath }),
    result: schemas.derivation,
    handle: async ({ path }, { server }) => {
      const json = derivationToJson(await server.builds.derivation(path), path);
      return {
        path,
        name: json.name,
        system: json.system,
        builder: json.builder,
        args: json.args,
        env: json.env,
        inputSources: json.inputSrcs,
        inputDerivations: Object.entries(json.inputDrvs).map(([input, outputs]) => ({
          path: input,
          outputs,
        })),
        outputs: Object.entries(json.outputs).map(([name, output]) => ({
          name,
          path: output.path ?? null,
          hashAlgo: output.hashAlgo,
          hash: output.hash ?? null,
        })),
        realisations: realisationMessages(path, server),
      };
    },
  }),
  post({
    path: "/objects/delete",
    summary: "Remove objects, all of them or none",
    params: z.object({
      paths: z.array(storePath).min(1).max(1000),
      recursive: z.boolean().default(false).describe("Also whatever refers to them"),
    }),
    result: schemas.deleted,
    handle: async ({ paths, recursive }, { server, holdings }, { signal }) => {
      const deleted = await server.store.remove(paths, { recursive, signal });
      holdings.forget();
      return { deleted };
    },
  }),
];

const mostRealisations = 10;

function realisationMessages(path: StorePath, { builds, store }: Server): RealisationMessage[] {
  return builds.records
    .timesBuilt(path, mostRealisations)
    .map(({ buildID, startedAt, endedAt = startedAt, outputs }) => ({
      buildID,
      endedAt: timeText(endedAt),
      durationMs: Math.max(0, endedAt - startedAt),
      outputs: Array.from(outputs).flatMap(([name, output]) =>
        output === null ? [] : [{ name, path: output, present: store.has(output) }],
      ),
    }));
}

export function listedMessage({
  path,
  narSize,
  registeredAt,
}: InventoryEntry): ListedObjectMessage {
  return { path, name: nameOf(path), narSize, registeredAt: timeText(registeredAt) };
}

/** More closures than this are not measured for one answer. */
const mostMeasured = 200;

function related(
  store: Store,
  path: StorePath,
  all: readonly StorePath[],
  limit: number,
): RelatedObjectsMessage {
  const objects = all.slice(0, Math.min(limit, mostMeasured)).map((other) => ({
    path: other,
    name: nameOf(other),
    narSize: store.info(other)?.narSize ?? 0,
    closureSize: closureAmount(store.database, other).narSize,
    isItself: other === path,
  }));
  return {
    total: all.length,
    objects: objects.toSorted((a, b) => b.closureSize - a.closureSize),
  };
}

async function closureMessage(
  store: Store,
  path: StorePath,
  { limit, referrers }: { readonly limit: number; readonly referrers: boolean },
): Promise<ClosureMessage> {
  const all = await store.graph([path], { referrers });
  const shown = all
    .toSorted((a, b) => Number(b.path === path) - Number(a.path === path) || b.narSize - a.narSize)
    .slice(0, limit);
  const known = new Set(shown.map((node) => node.path));
  return {
    total: all.length,
    narSize: all.reduce((sum, { narSize }) => sum + narSize, 0),
    nodes: shown.map((node) => ({
      path: node.path,
      name: nameOf(node.path),
      narSize: node.narSize,
      references: node.references.filter((other) => other !== node.path && known.has(other)),
    })),
  };
}

function located(store: Store, text: string): { path: StorePath; sub: string } {
  try {
    return parsePathInDirectory(store.directory, text);
  } catch (error) {
    if (!hasCode(error, "path.invalid")) throw error;
    throw new KilnError("http.request", `path: ${error.message}`);
  }
}

/** A file's bytes: to be looked at as text, or under a name to be kept. Nothing in it is ever markup to a browser. */
function fileAnswer(
  found: FoundFile,
  name: string | undefined,
): { headers: Record<string, string | number>; body: Readable } {
  // Looked at again when it is open: it is that which is read.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const descriptor = found.stats.isFile() ? openSync(found.real, flags) : undefined;
  const stats = descriptor === undefined ? found.stats : fstatSync(descriptor);
  if (descriptor === undefined || !stats.isFile()) {
    if (descriptor !== undefined) closeSync(descriptor);
    throw new KilnError("file.missing", "this is no file");
  }
  return {
    headers: {
      "content-length": stats.size,
      ...(name === undefined
        ? { "content-type": "text/plain; charset=utf-8" }
        : { "content-type": "application/octet-stream", ...attachment(name) }),
    },
    body: createReadStream("", { fd: descriptor }),
  };
}

/** For a file that is to be kept under this name. */
function attachment(name: string): { "content-disposition": string } {
  const ascii = name.replaceAll(/[^A-Za-z0-9._+=?-]/g, "_");
  const exact = encodeURIComponent(name.toWellFormed()).replaceAll(/['()*]/g, escapeByte);
  return { "content-disposition": `attachment; filename="${ascii}"; filename*=UTF-8''${exact}` };
}

function escapeByte(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}
