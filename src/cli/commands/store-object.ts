/** `kiln store object …`: what the store knows of objects, and moving them in and out. */
import {
  fromRpc,
  parseObjectInfo,
  printObjectInfo,
  splitObjectInfos,
} from "../../format/object-info.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { checkedExport } from "../checked-export.ts";
import { kilnOnly, openStore, type StoreConnection } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { ExitWith } from "../errors.ts";
import { openInput, readAll, writeOutput } from "../files.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { objectsMeant, storePathOrFile } from "../store-objects.ts";

export interface InfoFlags {
  readonly json?: boolean;
}

export async function objectInfo(
  operands: readonly string[],
  flags: InfoFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  if (operands.length === 0) return;
  operands.forEach(storePathOrFile);
  await using connection = await openStore(settingsFrom(flags, context.env), context);
  const paths = objectsMeant(connection, connection.settings.directory, operands);
  let first = true;
  for (const path of paths) {
    const { info } = await connection.client.call("zb.info", { path });
    if (info === null) throw new KilnError("store.missing", `${path}: does not exist`, { path });
    if (flags.json === true) {
      const { narHash, narSize, references, ca } = info;
      say(JSON.stringify({ narHash, narSize, references, ca }));
    } else {
      process.stdout.write(`${first ? "" : "\n"}${printObjectInfo(fromRpc(path, info))}`);
    }
    first = false;
  }
}

export interface ExportFlags {
  readonly output?: string;
  readonly references?: boolean;
}

export async function objectExport(
  operands: readonly string[],
  flags: ExportFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  operands.forEach(storePathOrFile);
  const { output, references = true } = flags;
  if (output === undefined && process.stdout.isTTY) {
    throw new KilnError("usage.terminal", "refusing to write an export to a terminal", {
      hint: "-o FILE, or -o - to do it anyway",
    });
  }
  await using connection = await openStore(settingsFrom(flags, context.env), context);
  const paths = objectsMeant(connection, connection.settings.directory, operands);
  const options = { excludeReferences: !references, passing: true };
  const stream = await connection.client.export(paths, options);
  await writeOutput(output ?? "-", stream);
}

export interface ImportFlags {
  readonly json?: boolean;
}

export async function objectImport(
  operands: readonly string[],
  flags: ImportFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  const names = operands.length === 0 ? ["-"] : operands;
  const inputs = names.map((name) => ({ name, open: openInput(name) })); // a missing file stops before anything is sent
  await using connection = await openStore(settingsFrom(flags, context.env), context, {
    create: true,
  });
  for (const { name, open } of inputs)
    await connection.client.importStream(checkedExport(open(), name));
  await report(connection, flags, context);
}

/** What became of the objects; a refused one makes the command fail. */
async function report(
  connection: StoreConnection,
  flags: ImportFlags,
  context: CommandContext,
): Promise<void> {
  if (connection.hello === undefined) {
    await connection.client.barrier();
    return;
  }
  const { reports } = await connection.client.call("kiln.importReport", {});
  for (const one of reports) {
    const { storePath, status, message, code } = one;
    if (flags.json === true) say(JSON.stringify(one));
    else if (status === "rejected")
      context.note(`error: refused ${storePath}: ${message} [${code}]`);
    else context.note(`${status === "imported" ? "imported" : "already there:"} ${storePath}`);
  }
  const hints = reports.map(({ hint }) => hint).filter((hint) => hint !== undefined);
  for (const hint of new Set(hints)) context.note(`try   ${hint}`);
  if (reports.some(({ status }) => status === "rejected")) throw new ExitWith(1);
}

export interface DeleteFlags {
  readonly db?: string;
  readonly recursive?: boolean;
  readonly json?: boolean;
}

export async function objectDelete(
  operands: readonly string[],
  flags: DeleteFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  operands.forEach(storePathOrFile);
  await using connection = await openStore(settingsFrom(flags, context.env), context, {
    database: flags.db,
  });
  kilnOnly(connection, "delete objects");
  const paths = objectsMeant(connection, connection.settings.directory, operands);
  const { deleted } = await connection.client.call("kiln.delete", {
    paths,
    recursive: flags.recursive ?? false,
  });
  for (const path of deleted) {
    if (flags.json === true) say(JSON.stringify({ deleted: path }));
    else context.note(`deleted ${path}`);
  }
}

export interface RegisterFlags {
  readonly db?: string;
  readonly json?: boolean;
}

export async function objectRegister(
  _operands: readonly string[],
  flags: RegisterFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  const text = (await readAll(openInput("-")())).toString("utf8");
  const infos = splitObjectInfos(text).map(parseObjectInfo);
  await using connection = await openStore(settingsFrom(flags, context.env), context, {
    database: flags.db,
    create: true,
  });
  kilnOnly(connection, "register objects");
  for (const info of infos) {
    await connection.client.call("kiln.register", { info: printObjectInfo(info) });
    if (flags.json === true) say(JSON.stringify({ registered: info.storePath }));
  }
}
