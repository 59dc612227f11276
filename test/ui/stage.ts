/**
 * A store server with its page, and a browser that looks at it. All that a test does goes through the page and the protocol; what the
 * browser complains about is a failure.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { removeTree } from "../../src/files/remove-tree.ts";
import type { Derivation } from "../../src/format/derivation/derivation.ts";
import { derivationPath } from "../../src/format/derivation/print.ts";
import type { StorePath } from "../../src/format/store-path.ts";
import { StoreClient } from "../../src/rpc/client.ts";
import { Server } from "../../src/server/server.ts";
import { WebServer, type WebOptions } from "../../src/web/http-server.ts";
import { exportOf, shell, type ShellOptions } from "../support/derivations.ts";

const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);

/** Why pages cannot be looked at here, or false. */
export const needsBrowser: string | false =
  executablePath === undefined ? "chromium is not installed" : false;

export interface LookOptions {
  readonly width?: number;
  readonly scheme?: "light" | "dark";
}

export class Stage implements AsyncDisposable {
  readonly folder: string;
  readonly server: Server;
  readonly web: WebServer;
  readonly client: StoreClient;
  readonly #browser: Browser;
  readonly #pipes: FileHandle[] = [];
  /** What browsers said that they should not. */
  readonly complaints: string[] = [];

  private constructor(
    folder: string,
    parts: { readonly server: Server; readonly web: WebServer; readonly browser: Browser },
  ) {
    this.folder = folder;
    this.server = parts.server;
    this.web = parts.web;
    this.#browser = parts.browser;
    this.client = StoreClient.over(parts.server.connect());
  }

  static async open(
    options: Partial<WebOptions> & { readonly jobs?: number } = {},
  ): Promise<Stage> {
    const folder = mkdtempSync(join(tmpdir(), "kiln-ui-"));
    mkdirSync(join(folder, "builds"));
    const server = await Server.open({
      directory: join(folder, "store"),
      database: join(folder, "db.sqlite"),
      buildDirectory: join(folder, "builds"),
      durability: "process",
      disableSandbox: true,
      jobs: options.jobs ?? 4,
    });
    const web = await WebServer.open(server, {
      address: { host: "127.0.0.1", port: 0 },
      mode: "embedded",
      ...options,
    });
    const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
    const browser = await chromium.launch({
      args,
      ...(executablePath === undefined ? {} : { executablePath }),
    });
    return new Stage(folder, { server, web, browser });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
    for (const pipe of this.#pipes) await pipe.close().catch(() => undefined);
    await this.web.close();
    await this.client.close();
    await this.server.close();
    await removeTree(this.folder);
  }

  /** A window of its own. */
  async window({ width = 1280, scheme = "light" }: LookOptions = {}): Promise<Page> {
    const context: BrowserContext = await this.#browser.newContext({
      viewport: { width, height: 900 },
      colorScheme: scheme,
      reducedMotion: "reduce",
    });
    const page = await context.newPage();
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") {
        this.complaints.push(`${page.url()}: ${message.text()}`);
      }
    });
    page.on("pageerror", (error) => this.complaints.push(`${page.url()}: ${error.message}`));
    return page;
  }

  /** A window that shows an address of the page. */
  async look(path: string, options: LookOptions = {}): Promise<Page> {
    const page = await this.window(options);
    await page.goto(new URL(path, this.web.url).href);
    return page;
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

  /** A pipe for a builder to read lines from: `while read -r line; do echo "$line"; done < ${pipe.path}`. */
  async pipe(): Promise<{
    path: string;
    write(text: string): Promise<void>;
    close(): Promise<void>;
  }> {
    const path = join(this.folder, `pipe-${this.#pipes.length}`);
    execFileSync("mkfifo", [path]);
    // For reading, too: then it does not matter who opens it first.
    const handle = await open(path, "r+");
    this.#pipes.push(handle);
    return {
      path,
      write: async (text) => void (await handle.write(text)),
      close: async () => await handle.close(),
    };
  }

  /** Fails when the browser complained about anything. */
  checkComplaints(): void {
    assert.deepEqual(this.complaints.splice(0), []);
  }
}

/** Where a result is shown. */
export function resultPath(buildID: string, derivation: Derivation): string {
  return `/build/${buildID}/result?drvPath=${encodeURIComponent(derivationPath(derivation))}`;
}

/** Fails when axe finds anything, or when the page is wider than the window. */
export async function checkAccess(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map(
    ({ id, help, nodes }) =>
      `${id}: ${help}: ${nodes
        .slice(0, 3)
        .map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary ?? ""}`)
        .join(" | ")}`,
  );
  assert.deepEqual(found, [], page.url());
  const wide = await page.evaluate<number>("document.documentElement.scrollWidth");
  const room = page.viewportSize()?.width ?? 0;
  assert.ok(wide <= room, `${page.url()} is ${wide} px wide, and there are ${room}`);
}

/** All looks that a page must bear: dark and light, wide and narrow. */
export const looks: readonly Required<LookOptions>[] = [
  { width: 1280, scheme: "light" },
  { width: 1280, scheme: "dark" },
  { width: 390, scheme: "light" },
  { width: 390, scheme: "dark" },
];
