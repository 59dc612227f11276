/** `kiln root …`: what garbage collection keeps. */
import { lstatSync } from "node:fs";
import { resolve } from "node:path";
import { KilnError } from "../../util/kiln-error.ts";
import { printable } from "../../util/printable.ts";
import { kilnOnly, openStore, type StoreConnection } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { objectMeant } from "../store-objects.ts";

export interface RootFlags {
  readonly json?: boolean;
}

export async function rootList(
  _operands: readonly string[],
  flags: RootFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  await using connection = await openStore(settingsFrom(flags, context.env), context);
  kilnOnly(connection, "list roots");
  const { roots } = await connection.client.call("kiln.roots", {});
  if (flags.json === true) for (const root of roots) say(JSON.stringify(root));
  else {
    // Anybody may have made a link, with any name.
    const rows = roots.map(({ name, path }) => [printable(name), path] as const);
    const width = Math.max(0, ...rows.map(([name]) => name.length));
    for (const [name, path] of rows) say(`${name.padEnd(width)}  ${path}`);
  }
}

export async function rootAdd(
  operands: readonly string[],
  flags: RootFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  const [name = "", object] = operands;
  await using connection = await openStore(settingsFrom(flags, context.env), context);
  kilnOnly(connection, "keep roots");
  const { hello, settings, client } = connection;
  const real = hello?.realStoreDirectory ?? settings.directory;
  const wanted =
    object === undefined
      ? { name: linkMeant(name) }
      : { name, path: objectMeant(settings.directory, real, object) };
  const { root } = await client.call("kiln.addRoot", wanted);
  if (flags.json === true) say(JSON.stringify(root));
  else context.note(`${root.name} keeps ${root.path}`);
}

export async function rootRemove(
  operands: readonly string[],
  flags: RootFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  await using connection = await openStore(settingsFrom(flags, context.env), context);
  kilnOnly(connection, "keep roots");
  const { roots } = await connection.client.call("kiln.roots", {});
  for (const operand of operands) {
    const known = roots.find(({ name }) => name === operand || name === resolve(operand));
    const name = known?.name ?? operand;
    await connection.client.call("kiln.removeRoot", { name });
    if (flags.json === true) say(JSON.stringify({ removed: name }));
    else context.note(`${name} keeps nothing any more`);
  }
}

/**
 * Makes the link of a result a root. That a daemon cannot do it (it is zb's, or an old one) is said, and no failure: the result is there.
 */
export async function keepLinks(
  { client, hello }: StoreConnection,
  links: readonly string[],
  context: CommandContext,
): Promise<void> {
  if (hello === undefined) return;
  for (const link of links) {
    try {
      await client.call("kiln.addRoot", { name: resolve(link) });
    } catch (error) {
      const why = KilnError.from(error).message;
      context.note(`warning: ${link} does not keep its object from garbage collection: ${why}`);
    }
  }
}

function linkMeant(text: string): string {
  if (lstatSync(text, { throwIfNoEntry: false })?.isSymbolicLink() === true) return resolve(text);
  throw new KilnError("root.link", `${text} is no link: which object is the root ${text} for?`, {
    hint: "kiln root add NAME OBJECT, or kiln root add LINK",
  });
}
