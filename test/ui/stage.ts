/** A store server with its page, and a browser that looks at it; what the browser complains about is a failure. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { AxeBuilder } from "@axe-core/playwright";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { openParts, type StageOptions, WebStage, type WebParts } from "../support/web-stage.ts";

export { resultPath } from "../support/web-stage.ts";

const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);

/** Why pages cannot be looked at here, or false. */
export const needsBrowser: string | false =
  executablePath === undefined ? "chromium is not installed" : false;

/** `KILN_PAGE_SLOWDOWN=6` runs all pages as on a machine so many times slower: no test of them may depend on how fast one is. */
const slowdown = Number(process.env["KILN_PAGE_SLOWDOWN"] ?? "1");

/** What is to be seen as it happens: before a page that has heard of nothing would look again. A page that is made slower is given more. */
export const soon = { timeout: 10_000 * slowdown } as const;

export interface LookOptions {
  readonly width?: number;
  readonly scheme?: "light" | "dark";
}

export class Stage extends WebStage {
  readonly #browser: Browser;
  /** What browsers said that they should not. */
  readonly complaints: string[] = [];

  private constructor(parts: WebParts, browser: Browser) {
    super(parts);
    this.#browser = browser;
  }

  static override async open(options: StageOptions = {}): Promise<Stage> {
    const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
    const browser = await chromium.launch({
      args,
      ...(executablePath === undefined ? {} : { executablePath }),
    });
    return new Stage(await openParts(options), browser);
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
    await super[Symbol.asyncDispose]();
  }

  /** A window of its own. */
  async window({ width = 1280, scheme = "light" }: LookOptions = {}): Promise<Page> {
    const context: BrowserContext = await this.#browser.newContext({
      viewport: { width, height: 900 },
      colorScheme: scheme,
      reducedMotion: "reduce",
    });
    const page = await context.newPage();
    if (slowdown > 1) {
      const session = await context.newCDPSession(page);
      await session.send("Emulation.setCPUThrottlingRate", { rate: slowdown });
    }
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
    await page.goto(this.url(path));
    return page;
  }

  /** Fails when the browser complained about anything. */
  checkComplaints(): void {
    assert.deepEqual(this.complaints.splice(0), []);
  }
}

/** Waits until the window's title is one of these: it is set after what else is shown. */
export async function titled(page: Page, pattern: RegExp): Promise<void> {
  const deadline = performance.now() + soon.timeout;
  for (let title = ""; !pattern.test(title); title = await page.title()) {
    assert.ok(performance.now() < deadline, `the title is "${title}", wanted ${String(pattern)}`);
  }
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
