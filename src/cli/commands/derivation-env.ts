/** `kiln derivation env`: the environment a derivation's builder would get. Its inputs are built for it. */
import { setTimeout as delay } from "node:timers/promises";
import type { StoreClient } from "../../rpc/client.ts";
import type { BuildMessage, ExpansionMessage } from "../../rpc/protocol.ts";
import { compareBytes } from "../../util/byte-string.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { locate, open, type StoreConnection } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { ExitWith } from "../errors.ts";
import { followBuild } from "../follow.ts";
import { exitCodeOfSignal } from "../interrupts.ts";
import { reuseWish } from "../reuse.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";
import { shortID } from "../text.ts";
import { type EvaluationFlags, findWanted } from "../wanted.ts";

export interface DerivationEnvFlags extends EvaluationFlags {
  readonly json?: boolean;
  readonly tempDir?: string;
}

export async function derivationEnv(
  operands: readonly string[],
  flags: DerivationEnvFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  const stop = new AbortController();
  let running: { readonly client: StoreClient; readonly buildID: string } | undefined;
  using _handling = context.interrupts.handle((signal) => {
    stop.abort(new ExitWith(exitCodeOfSignal(signal)));
    running?.client.notify("zb.cancelBuild", { buildID: running.buildID });
  });
  const located = await locate(settingsFrom(flags, context.env), context);
  await using wanted = await findWanted(operands, flags, located.settings, {
    note: context.note,
    signal: stop.signal,
  });
  await using connection = await open(located, context, { create: true, signal: stop.signal });
  await wanted.send(connection);
  for (const { name, drvPath } of wanted.derivations) {
    stop.signal.throwIfAborted();
    const { client } = connection;
    const { tempDir = "/tmp" } = flags;
    const { buildID } = await client.call("zb.expand", {
      drvPath,
      tempDir,
      reuse: reuseWish(located.settings),
    });
    running = { client, buildID };
    const build = await finished(connection, buildID, context);
    running = undefined;
    stop.signal.throwIfAborted();
    if (build.expand === undefined) throw failed(name, build, context);
    print(build.expand, flags.json ?? false);
  }
}

/** The build when it has ended. */
async function finished(
  connection: StoreConnection,
  buildID: string,
  context: CommandContext,
): Promise<BuildMessage> {
  const { client, hello } = connection;
  if (hello !== undefined) await followBuild(client, buildID, () => {}, { context });
  for (;;) {
    const build = await client.call("zb.getBuild", { buildID });
    if (build.status !== "active") return build;
    await delay(100); // zb tells nobody when a build ends
  }
}

function failed(name: string, build: BuildMessage, { kiln }: CommandContext): KilnError {
  const wrong = build.results.find(({ status }) => status === "fail" || status === "error");
  const what =
    wrong === undefined
      ? ""
      : `: ${wrong.drvPath} ${wrong.status === "fail" ? "failed" : "could not be built"}`;
  return new KilnError("build.failed", `the inputs of ${name} could not be built${what}`, {
    kind: "builder",
    ...(wrong === undefined ? {} : { hint: kiln(`log ${shortID(build.id)} ${wrong.drvPath}`) }),
  });
}

function print(expansion: ExpansionMessage, json: boolean): void {
  if (json) {
    const { builder, args, env } = expansion;
    say(JSON.stringify({ builder, args, env }));
    return;
  }
  for (const [name, value] of Object.entries(expansion.env).toSorted(([a], [b]) =>
    compareBytes(a, b),
  ))
    say(`${name}=${value}`);
}
