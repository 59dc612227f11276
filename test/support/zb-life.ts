/** One side of a life with zb: a daemon, zb's or Kiln's, and zb's client, which builds with it. What came of each build is kept. */
import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { StorePath } from "../../src/format/store-path.ts";
import { StoreClient } from "../../src/rpc/client.ts";
import type { Result } from "../../src/rpc/protocol.ts";
import { type Daemon, type Ended, kilnProgram, World } from "./world.ts";
import type { LifeBuild } from "./zb-life-builds.ts";

const life = fileURLToPath(new URL("../fixtures/life", import.meta.url));
const webInWorld = fileURLToPath(new URL("./web-in-world.ts", import.meta.url));

/** What a build came to, as far as it can be the same on both sides. */
export interface Outcome {
  /** Of zb's client; undefined where none was used. */
  readonly code: number | undefined;
  readonly stdout: string;
  /** Of the builds it had made, in their order. */
  readonly statuses: readonly string[];
  readonly results: ReadonlyMap<string, ResultOutcome>;
  readonly stderr: string;
}

export interface ResultOutcome {
  readonly status: string;
  /** `NAME=PATH`, by name. */
  readonly outputs: readonly string[];
  readonly log: string;
}

export class LifeSide implements AsyncDisposable {
  readonly world: World;
  readonly daemon: Daemon;
  readonly client: StoreClient;
  readonly #server: string;
  readonly #zb: string;

  private constructor(
    parts: { readonly world: World; readonly daemon: Daemon; readonly client: StoreClient },
    programs: { readonly server: string; readonly zb: string },
  ) {
    this.world = parts.world;
    this.daemon = parts.daemon;
    this.client = parts.client;
    this.#server = programs.server;
    this.#zb = programs.zb;
  }

  static async open(server: string, zb: string): Promise<LifeSide> {
    const world = await World.open();
    try {
      cpSync(life, join(world.directory, "life"), { recursive: true, verbatimSymlinks: true });
      const web = world.spawn(process.execPath, [webInWorld, "8099"], {
        cwd: join(world.directory, "life"),
      });
      web.stderr!.pipe(process.stderr);
      const listening = once(web.stdout!, "data");
      const daemon = await world.serve(server, [
        "--sandbox=false",
        "--build-users-group=",
        "--cores-per-build=1",
      ]);
      await listening;
      const client = await StoreClient.connect(daemon.socket);
      return new LifeSide({ world, daemon, client }, { server, zb });
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts zb's client, or another one, with a command. */
  start(command: readonly string[], client: string = this.#zb): Started {
    const child = this.world.spawn(
      client,
      ["--debug", "--store-socket", this.daemon.socket, ...command],
      { cwd: join(this.world.directory, "life") },
    );
    child.stdin!.end();
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout!.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr!.on("data", (chunk: Buffer) => err.push(chunk));
    const ended = once(child, "close").then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
      stdout: Buffer.concat(out),
      stderr: Buffer.concat(err).toString("latin1"),
    }));
    return { kill: (signal) => child.kill(signal), ended };
  }

  /** Has zb's client build and asks the daemon what came of it. */
  async build({ targets }: Pick<LifeBuild, "targets">): Promise<Outcome> {
    const urls = targets.map((target) => target.replace("#", ".lua#"));
    return await this.outcome(await this.start(["build", ...urls]).ended);
  }

  /** The same by two clients at once. */
  async twoAtOnce(url: string): Promise<Outcome[]> {
    const both = [this.start(["build", url]), this.start(["build", url])];
    return await Promise.all(both.map(async ({ ended }) => await this.outcome(await ended)));
  }

  /** A build whose client is interrupted when the builder has left its mark. */
  async interrupted(url: string): Promise<Outcome> {
    const client = this.start(["build", url]);
    const name = url.split("#")[1] ?? "";
    const deadline = performance.now() + 30_000;
    while (this.marks()[name] === undefined && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    client.kill("SIGINT");
    return await this.outcome(await client.ended);
  }

  /** Runs zb's client, and kills it when it has not ended after these milliseconds. */
  async endOf(milliseconds: number, ...command: string[]): Promise<Ended> {
    const client = this.start(command);
    const timer = setTimeout(() => client.kill("SIGKILL"), milliseconds);
    const ended = await client.ended;
    clearTimeout(timer);
    return ended;
  }

  /** How often each builder that leaves a mark has run. */
  marks(): Record<string, number> {
    const folder = this.world.path("/opt/marks");
    const names = existsSync(folder) ? readdirSync(folder) : [];
    return Object.fromEntries(
      names.map((name) => [name, readFileSync(join(folder, name), "utf8").split("\n").length - 1]),
    );
  }

  /** Deletes an object. Of zb's servers only the command can, beside them. */
  async delete(path: string): Promise<void> {
    const command =
      this.#server === kilnProgram
        ? [`--store-socket=${this.daemon.socket}`, "store", "object", "delete", path]
        : ["store", "object", "delete", `--db=${join(this.world.directory, "serve.db")}`, path];
    const ended = await this.world.run(this.#server, command);
    if (ended.code !== 0) throw new Error(ended.stderr);
  }

  async outcome(ended: Ended): Promise<Outcome> {
    return {
      code: ended.code ?? -1,
      stdout: ended.stdout.toString(),
      stderr: ended.stderr,
      ...(await this.built(buildsIn(ended))),
    };
  }

  /** Builds without zb's client. */
  async realize(drvPaths: readonly StorePath[]): Promise<Outcome> {
    const { buildID } = await this.client.call("zb.realize", { drvPath: [...drvPaths] });
    return { code: undefined, stdout: "", stderr: "", ...(await this.built([buildID])) };
  }

  async built(ids: readonly string[]): Promise<Pick<Outcome, "statuses" | "results">> {
    const statuses: string[] = [];
    const results = new Map<string, ResultOutcome>();
    for (const buildID of ids) {
      const build = await this.#ended(buildID);
      statuses.push(build.status);
      for (const { drvPath, status, outputs } of build.results) {
        results.set(drvPath, {
          status,
          outputs: outputs.map(({ name, path }) => `${name}=${path}`).toSorted(),
          log: status === "active" ? "" : this.#words(await this.#log(buildID, drvPath)),
        });
      }
    }
    return { statuses, results };
  }

  async #ended(buildID: string): Promise<Result<"zb.getBuild">> {
    for (;;) {
      const build = await this.client.call("zb.getBuild", { buildID });
      if (build.status !== "active") return build;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #log(buildID: string, drvPath: StorePath): Promise<string> {
    const parts: Buffer[] = [];
    for (let rangeStart = 0; ;) {
      const { text, base64, eof } = await this.client.call("zb.readLog", {
        buildID,
        drvPath,
        rangeStart,
      });
      const part = Buffer.from(text ?? base64 ?? "", text === undefined ? "base64" : "utf8");
      parts.push(part);
      rangeStart += part.length;
      if (eof) return Buffer.concat(parts).toString("latin1");
    }
  }

  /** Less what differs from run to run. */
  #words(text: string): string {
    return text
      .replaceAll(this.world.directory, "WORLD")
      .replaceAll(/zb-build-([a-z-]+)-[0-9A-Za-z]+/g, "zb-build-$1-RANDOM");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
    await this.world[Symbol.asyncDispose]();
  }
}

/** A run of zb's client that goes on. */
export interface Started {
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<Ended>;
}

/** The builds that the client has named. */
function buildsIn({ stderr }: Ended): string[] {
  const ids = [...stderr.matchAll(/build ([0-9a-f]{8}-[0-9a-f-]{27})/gi)];
  return [...new Set(ids.map(([, id]) => id!))];
}
