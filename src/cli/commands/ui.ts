/** `kiln ui`: the web page on a store without a daemon. Meanwhile builds go through this process, so that the page shows them. */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { makeFolders } from "../../files/make-folders.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { type Located, locate } from "../connection.ts";
import { type CommandContext, say } from "../context.ts";
import { ExitWith } from "../errors.ts";
import { exitCodeOfSignal, type Signal } from "../interrupts.ts";
import { type GlobalFlags, settingsFrom } from "../settings.ts";

export interface UiFlags {
  readonly json?: boolean;
}

export async function ui(
  [address]: readonly string[],
  flags: UiFlags & GlobalFlags,
  context: CommandContext,
): Promise<number> {
  const settings = settingsFrom(flags, context.env);
  const located = await locate(settings, context, { create: true });
  const sayPage = (url: string): void =>
    say(flags.json === true ? JSON.stringify({ page: url }) : url);
  if (located.daemon !== undefined) {
    await using daemon = located.daemon;
    const page = daemon.hello?.page;
    if (page === undefined) throw noPage(located);
    context.note("the daemon has a page already");
    sayPage(page);
    return 0;
  }
  const stopped = Promise.withResolvers<Signal>();
  const stop = new AbortController();
  using _handling = context.interrupts.handle((signal) => {
    stopped.resolve(signal);
    stop.abort(new ExitWith(exitCodeOfSignal(signal)));
  });
  await using served = await servePage(located, { address, signal: stop.signal }, context);
  sayPage(served.url);
  context.note("builds of this store go through here and are shown; Ctrl-C ends");
  const signal = await stopped.promise;
  return exitCodeOfSignal(signal);
}

function noPage({ settings, daemon }: Located): KilnError {
  const whose = daemon?.hello === undefined ? "zb's" : "without a page";
  return new KilnError("ui.absent", `the daemon at ${settings.socket} is ${whose}`, {
    path: settings.socket,
    hint: "start it with kiln serve --ui",
  });
}

async function servePage(
  { settings }: Located,
  { address, signal }: { readonly address: string | undefined; readonly signal: AbortSignal },
  context: CommandContext,
): Promise<{ readonly url: string } & AsyncDisposable> {
  const [{ openEmbeddedServer }, { openWeb }] = await Promise.all([
    import("../embedded.ts"),
    import("../web.ts"),
  ]);
  const { directory, realDirectory, database, logDirectory, socket, debug } = settings;
  const isNew = !existsSync(database);
  await using opened = new AsyncDisposableStack();
  const server = opened.use(
    await openEmbeddedServer({
      directory,
      realStoreDirectory: realDirectory,
      database,
      logDirectory,
      debug,
      jobs: undefined,
      sandbox: undefined,
      limits: undefined,
      waitForLock: {
        signal,
        onWait: () =>
          context.note(`waiting for another process, which uses the store ${directory}`),
      },
    }),
  );
  if (isNew) context.note(`made a new store in ${realDirectory}`);
  const page = opened.use(
    await openWeb(server, {
      address,
      hostNames: undefined,
      tokenFile: undefined,
      allowRemote: false,
      retention: undefined,
      mode: "embedded",
      log: (level, text) => {
        if (debug || level === "warn" || level === "error") context.note(text);
      },
    }),
  );
  makeFolders(dirname(socket), 0o755);
  await server.listen({ path: socket, mode: 0o600 });
  const { url } = page;
  const rest = opened.move();
  return { url, [Symbol.asyncDispose]: async () => await rest.disposeAsync() };
}
