/** A store server with its page, without a daemon around it. All that a test does goes through the page and the protocol. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { removeTree } from "../../src/files/remove-tree.ts";
import type { Derivation } from "../../src/format/derivation/derivation.ts";
import { derivationPath } from "../../src/format/derivation/print.ts";
import type { StorePath } from "../../src/format/store-path.ts";
import { StoreClient } from "../../src/rpc/client.ts";
import { Server } from "../../src/server/server.ts";
import { WebServer, type WebOptions } from "../../src/web/http-server.ts";
import { exportOf, shell, type ShellOptions } from "./derivations.ts";

export type StageOptions = Partial<WebOptions> & { readonly jobs?: number };

export interface WebParts {
  readonly folder: string;
  readonly server: Server;
  readonly web: WebServer;
}

/** A pipe for a builder to read from: `while read -r line; do echo "$line"; done < ${pipe.path}`. */
export interface Pipe {
  readonly path: string;
  write(text: string | Buffer): Promise<void>;
  close(): Promise<void>;
}

export class WebStage implements AsyncDisposable {
  readonly folder: string;
  readonly server: Server;
  web: WebServer;
  readonly client: StoreClient;
  readonly #pipes: FileHandle[] = [];

  protected constructor({ folder, server, web }: WebParts) {
    this.folder = folder;
    this.server = server;
    this.web = web;
    this.client = StoreClient.over(server.connect());
  }

  static async open(options: StageOptions = {}): Promise<WebStage> {
    return new WebStage(await openParts(options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pipe of this.#pipes) await pipe.close().catch(() => undefined);
    await this.web.close();
    await this.client.close();
    await this.server.close();
    await removeTree(this.folder);
  }

  /** Ends the page; the result opens it again where it was. */
  async stopPage(): Promise<() => Promise<void>> {
    const { hostname: host, port } = new URL(this.web.url);
    await this.web.close();
    return async () => {
      const address = { host, port: Number(port) };
      this.web = await WebServer.open(this.server, { address, mode: "embedded" });
    };
  }

  /** The full address of something on the page. */
  url(path: string): string {
    return new URL(path, this.web.url).href;
  }

  /** A derivation that runs a script. */
  derivation(name: string, script: string, options: ShellOptions = {}): Derivation {
    return shell(name, script, { store: this.server.store.directory, ...options });
  }

  /** Puts derivations into the store, inputs first, and begins to build the last ones. */
  async build(
    derivations: readonly Derivation[],
    targets: readonly Derivation[] = derivations.slice(-1),
  ): Promise<string> {
    await this.client.importStream([exportOf(derivations)]);
    const drvPath = targets.map(derivationPath);
    const named = targets.map((target, i) => ({
      name: target.name,
      drvPath: drvPath[i] as StorePath,
    }));
    const { buildID } = await this.client.call("zb.realize", { drvPath, targets: named });
    return buildID;
  }

  /** The same, and waits for the end. */
  async built(
    derivations: readonly Derivation[],
    targets?: readonly Derivation[],
  ): Promise<string> {
    const id = await this.build(derivations, targets);
    await this.client.watch(id, () => {});
    await this.server.builds.ended(id);
    return id;
  }

  /** Where the output of a derivation is that was built. */
  outputOf(buildID: string, derivation: Derivation): StorePath {
    const path = this.server.builds.records
      .inspect(buildID)
      ?.results.find(({ drvPath }) => drvPath === derivationPath(derivation))
      ?.outputs.get("out");
    if (path === undefined || path === null) throw new Error(`${derivation.name} was not built`);
    return path;
  }

  async pipe(): Promise<Pipe> {
    const path = join(this.folder, `pipe-${this.#pipes.length}`);
    execFileSync("mkfifo", [path]);
    // For reading, too: then it does not matter who opens it first.
    const handle = await open(path, "r+");
    this.#pipes.push(handle);
    return {
      path,
      write: async (text) => await handle.appendFile(text),
      close: async () => await handle.close(),
    };
  }
}

export async function openParts({ jobs = 4, ...options }: StageOptions): Promise<WebParts> {
  const folder = mkdtempSync(join(tmpdir(), "kiln-ui-"));
  mkdirSync(join(folder, "builds"));
  const server = await Server.open({
    directory: join(folder, "store"),
    database: join(folder, "db.sqlite"),
    buildDirectory: join(folder, "builds"),
    durability: "process",
    disableSandbox: true,
    jobs,
  });
  const web = await WebServer.open(server, {
    address: { host: "127.0.0.1", port: 0 },
    mode: "embedded",
    ...options,
  });
  return { folder, server, web };
}

/** Where a result is shown. */
export function resultPath(buildID: string, derivation: Derivation): string {
  return `/build/${buildID}/result?drvPath=${encodeURIComponent(derivationPath(derivation))}`;
}
