/** What the store lacks of a build, and whether it took what was sent. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Derivation } from "../format/derivation/derivation.ts";
import { derivationObject } from "../format/derivation/print.ts";
import { exportEnd, exportObjectHeader, exportTrailer } from "../format/export-stream.ts";
import { NarWriter } from "../format/nar/writer.ts";
import {
  derivationNameOf,
  directoryOf,
  objectNameOf,
  type StorePath,
} from "../format/store-path.ts";
import type { StoreClient } from "../rpc/client.ts";
import { KilnError } from "../util/kiln-error.ts";
import type { StoreConnection } from "./connection.ts";
import { parseNamed } from "./derivation-file.ts";

/** How many paths go into one question: a message has at most 1 MiB. */
const pathsPerQuestion = 2000;

/** Those of `paths` that are not in the store. */
export async function missingOf(
  connection: StoreConnection,
  paths: readonly StorePath[],
): Promise<Set<StorePath>> {
  const { client, hello } = connection;
  const missing = new Set<StorePath>();
  for (let at = 0; at < paths.length; at += pathsPerQuestion) {
    const some = paths.slice(at, at + pathsPerQuestion);
    const answer =
      hello === undefined
        ? await absentIn(client, some)
        : await client.call("kiln.missing", { paths: some });
    for (const path of answer.missing) missing.add(path);
  }
  return missing;
}

/** The same question to zb's daemon, which knows it for one path at a time. */
async function absentIn(
  client: StoreClient,
  paths: readonly StorePath[],
): Promise<{ missing: readonly StorePath[] }> {
  const infos = await Promise.all(paths.map((path) => client.call("zb.info", { path })));
  return { missing: paths.filter((_, at) => infos[at]?.info === null) };
}

/** A derivation that was named by its store path has to be there, and to be one. */
export async function checkInStore(connection: StoreConnection, path: StorePath): Promise<void> {
  const { info } = await connection.client.call("zb.info", { path });
  if (info === null) {
    throw new KilnError("store.missing", `${path} is not in the store`, {
      path,
      hint: "build the build file that it is of, or import it: kiln store object import",
    });
  }
  const real = connection.hello?.realStoreDirectory;
  if (real === undefined) return;
  let text;
  try {
    text = readFileSync(join(real, objectNameOf(path)));
  } catch {
    return; // Not ours to read: then the daemon will say what is wrong with it.
  }
  parseNamed(directoryOf(path), derivationNameOf(path), path, text);
}

/** @throws KilnError `import.rejected` with the first object that the store did not take */
export async function checkReports(client: StoreClient): Promise<void> {
  const { reports } = await client.call("kiln.importReport", {});
  const rejected = reports.filter((report) => report.status === "rejected");
  const [first] = rejected;
  if (first === undefined) return;
  const more = rejected.length > 1 ? ` (and ${rejected.length - 1} more)` : "";
  throw new KilnError(
    first.code ?? "import.rejected",
    `the store refused ${first.storePath}: ${first.message ?? "no reason given"}${more}`,
    { path: first.storePath, ...(first.hint === undefined ? {} : { hint: first.hint }) },
  );
}

/** The export stream of one derivation. */
export function exportOf(derivation: Derivation): Buffer[] {
  const { path, contents, ca, references } = derivationObject(derivation);
  const chunks: Buffer[] = [exportObjectHeader()];
  const nar = new NarWriter((chunk) => chunks.push(Buffer.from(chunk)));
  nar.file("", false, contents.length);
  nar.data(contents);
  nar.endFile();
  nar.end();
  chunks.push(exportTrailer({ storePath: path, references, deriver: "", ca }), exportEnd());
  return chunks;
}
