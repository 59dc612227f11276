/** What commands ask a store about its objects. */
import { existsSync, realpathSync } from "node:fs";
import { resolve } from "node:path";
import {
  parsePathInDirectory,
  parseStorePath,
  storePathFor,
  type StoreDirectory,
  type StorePath,
} from "../format/store-path.ts";
import type { ListedObjectMessage, ObjectNodeMessage } from "../rpc/protocol.ts";
import { hasCode, KilnError } from "../util/kiln-error.ts";
import { kilnOnly, type StoreConnection } from "./connection.ts";
import { ObjectGraph } from "./object-graph.ts";

/**
 * The object that a person means: its path, a path inside of it, or a file that leads there, as `result`. `real` is where the store
 * directory lies on this machine.
 *
 * @throws KilnError `path.invalid`
 */
export function objectMeant(directory: StoreDirectory, real: string, text: string): StorePath {
  return (
    within(directory, text) ??
    within(directory, resolve(text)) ??
    insideReal(directory, real, text) ??
    storePathOrFile(text) ??
    leadsNowhere(text, real)
  );
}

/** A link into another store looks the same: so it is said which store this is. */
function leadsNowhere(text: string, real: string): never {
  throw new KilnError("path.invalid", `${text} leads to no store object`, {
    path: text,
    hint: `a file that leads into ${real}, the store that was asked; --store names another`,
  });
}

/**
 * What can be told of an operand before the store is open: that it is the path of an object; undefined when it may be a file that
 * leads to one.
 *
 * @throws KilnError `path.invalid` when it is neither
 */
export function storePathOrFile(text: string): StorePath | undefined {
  try {
    return parseStorePath(text);
  } catch (error) {
    if (!hasCode(error, "path.invalid")) throw error;
    if (existsSync(text)) return undefined;
    const message = `${error.message}, and there is no file ${text}`;
    throw new KilnError(error.code, message, { path: text, cause: error });
  }
}

function within(directory: StoreDirectory, path: string): StorePath | undefined {
  try {
    return parsePathInDirectory(directory, path).path;
  } catch (error) {
    if (hasCode(error, "path.invalid")) return undefined;
    throw error;
  }
}

function insideReal(directory: StoreDirectory, real: string, text: string): StorePath | undefined {
  try {
    const [path, start] = [realpathSync(text), `${realpathSync(real)}/`];
    const [name = ""] = path.startsWith(start) ? path.slice(start.length).split("/") : [];
    return storePathFor(directory, name);
  } catch {
    return undefined; // it leads nowhere, or to no object
  }
}

/** As {@link objectMeant}, for the operands of a command. */
export function objectsMeant(
  { hello }: StoreConnection,
  directory: StoreDirectory,
  operands: readonly string[],
): StorePath[] {
  const real = hello?.realStoreDirectory ?? directory;
  return operands.map((text) => objectMeant(directory, real, text));
}

/** All objects by path, some at a time: what is listed first is there at once, however many there are. */
export async function* allObjects(
  connection: StoreConnection,
): AsyncGenerator<readonly ListedObjectMessage[], void, undefined> {
  kilnOnly(connection, "list objects");
  let after: StorePath | undefined;
  for (let limit = 100; ; limit = 10_000) {
    const request = { limit, ...(after === undefined ? {} : { after }) };
    const { objects } = await connection.client.call("kiln.objects", request);
    yield objects;
    if (objects.length < limit) return;
    after = objects.at(-1)?.path;
  }
}

/**
 * Objects with all they refer to, or with all that refers to them.
 *
 * @throws KilnError `store.missing`
 */
export async function fetchGraph(
  connection: StoreConnection,
  paths: readonly StorePath[],
  { referrers = false }: { readonly referrers?: boolean } = {},
): Promise<ObjectGraph> {
  const { client, hello } = connection;
  if (hello !== undefined) {
    const { objects } = await client.call("kiln.closure", { paths, referrers });
    return new ObjectGraph(objects);
  }
  // zb's daemon is asked about each object.
  if (referrers) kilnOnly(connection, "find referrers");
  const objects: ObjectNodeMessage[] = [];
  const reached = new Set(paths);
  for (const path of reached) {
    const { info } = await client.call("zb.info", { path });
    if (info === null)
      throw new KilnError("store.missing", `${path} is not in the store`, { path });
    objects.push({ path, narSize: info.narSize, references: info.references });
    for (const reference of info.references) reached.add(reference);
  }
  return new ObjectGraph(objects);
}
