// The pages of the store, its roots and the daemon's health in a real browser; and what all pages have in common.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import type { Derivation } from "../../src/format/derivation/derivation.ts";
import { derivationPath } from "../../src/format/derivation/print.ts";
import { checkAccess, looks, needsBrowser, Stage } from "./stage.ts";

const token = "0123456789abcdef0123456789abcdef";
const hostile = "<img src=x onerror='window.harm=1'>";

function objectPath(path: string): string {
  return `/store/object?path=${encodeURIComponent(path)}`;
}

describe("the pages of the store", { skip: needsBrowser }, () => {
  let stage: Stage;
  let lib: Derivation;
  let app: Derivation;
  let id: string;
  before(async () => {
    stage = await Stage.open({ token });
    const files = [
      `mkdir -p "$out/src/deep"`,
      `printf '<script>window.harm = 2</script>\\n' > "$out/readme.html"`,
      `echo deep > "$out/src/deep/file.txt"`,
      `ln -s /etc/passwd "$out/link"`,
      `echo x > "$out/$name"`,
      `head -c 2000000 /dev/zero > "$out/big"`,
    ];
    lib = stage.derivation("lib", files.join("\n"), { env: { name: hostile.replaceAll("/", "") } });
    app = stage.derivation("app", `echo "$note" > $out`, {
      inputs: [derivationPath(lib)],
      env: { note: `${hostile}\u001B[31m\u202Ered` },
    });
    id = await stage.built([lib, app]);
    const named = { name: "release-1", path: stage.outputOf(id, lib) };
    await stage.client.call("kiln.addRoot", named);
    await stage.server.store.verify();
  });
  after(async () => await stage[Symbol.asyncDispose]());

  /** Holds a page against axe, light and wide, dark and narrow, with no complaint of the browser. */
  async function bears(path: string, ready: (page: Page) => Promise<unknown>): Promise<void> {
    for (const look of looks.filter((_, i) => i === 0 || i === 3)) {
      const page = await stage.look(path, look);
      await ready(page);
      await checkAccess(page);
      assert.equal(await page.evaluate("window.harm"), undefined);
      assert.equal(await page.locator("main img, main iframe, main script").count(), 0);
      await page.context().close();
    }
    stage.checkComplaints();
  }

  test("the store says who uses the disk, and finds objects", async () => {
    const page = await stage.look("/store/");
    await page.getByText("4 store objects").waitFor();
    await page.getByText("4 objects, now").waitFor();
    await page.getByRole("link", { name: "release-1" }).waitFor();
    await page.getByRole("button", { name: "Names" }).click();
    await page.getByRole("cell", { name: "app.drv", exact: true }).waitFor();
    await page.getByRole("searchbox", { name: "Part of a store path" }).fill("-lib");
    await page.keyboard.press("Enter");
    await page.waitForURL("**/store/?q=-lib");
    const objects = page.locator(".panel", { has: page.getByRole("search") });
    await objects.getByRole("link", { name: "lib.drv" }).waitFor();
    await objects.getByRole("link", { name: "app" }).waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Preview collection" }).click();
    await page.getByText("would remove").waitFor();
    // Without the token there is nothing to press.
    assert.equal(await page.getByRole("button", { name: /^Collect$|Delete/ }).count(), 0);
    await page.context().close();
    await bears("/store/", (each) => each.getByText("4 store objects").waitFor());
  });

  test("an object shows its files, what it needs and what needs it, and can be downloaded", async () => {
    const out = stage.outputOf(id, lib);
    const page = await stage.look(objectPath(out));
    await page.getByRole("heading", { name: "lib", level: 1 }).waitFor();
    await page.getByText("release-1").waitFor();
    await page.getByText("link to /etc/passwd").waitFor();
    await page.getByText(hostile.replaceAll("/", "")).waitFor();
    await page.getByRole("button", { name: "readme.html" }).click();
    await page.getByText("<script>window.harm = 2</script>").waitFor();
    assert.equal(await page.evaluate("window.harm"), undefined);
    const downloading = page.waitForEvent("download");
    await page.getByRole("link", { name: "NAR", exact: true }).click();
    const download = await downloading;
    assert.equal(download.suggestedFilename(), "lib.nar");
    const hash = createHash("sha256")
      .update(readFileSync(await download.path()))
      .digest("base64");
    await page.getByText(`sha256-${hash}`).waitFor();
    await page.context().close();
    await bears(objectPath(out), (each) => each.getByText("link to /etc/passwd").waitFor());
  });

  test("an object's references can be walked, as a list and as a graph", async () => {
    const page = await stage.look(objectPath(derivationPath(app)));
    await page.getByRole("button", { name: "References 1" }).click();
    await page.locator(".related").getByRole("link", { name: "lib.drv" }).waitFor();
    await page.keyboard.press("v");
    await page.locator(".graph-box .node", { hasText: "lib.drv" }).waitFor();
    await checkAccess(page);
    await page.getByRole("button", { name: "What needs it" }).click();
    await page.getByText(/^1 object\b/).waitFor();
    await page.context().close();
    stage.checkComplaints();
  });

  test("a derivation shows what its builder gets, controls made visible", async () => {
    const path = `/store/derivation?path=${encodeURIComponent(derivationPath(app))}`;
    const page = await stage.look(path);
    await page.getByText(`${hostile}<U+202E>red`).waitFor();
    await page.getByText(/^Its outputs are in the store/).waitFor();
    await page
      .getByRole("link", { name: `build ${id.slice(-8)}` })
      .first()
      .waitFor();
    await page.getByRole("link", { name: "lib.drv" }).click();
    await page.getByRole("heading", { name: "lib", level: 1 }).waitFor();
    await page.context().close();
    await bears(path, (each) => each.getByText(/red$/).waitFor());
  });

  test("the roots are seen by all; who has the token removes one, collects and deletes, each in two steps", async () => {
    const page = await stage.look("/health/");
    await page.getByRole("heading", { name: "Health", level: 1 }).waitFor();
    await page.keyboard.press("g");
    await page.keyboard.press("r");
    await page.getByRole("heading", { name: "Roots", level: 1 }).waitFor();
    await page.getByRole("link", { name: "release-1" }).waitFor();
    assert.equal(await page.getByRole("button").count(), 0);
    await page.goto(stage.url("/health/"));
    const field = page.getByLabel("The administrator's token");
    await field.fill("a wrong one");
    await page.getByRole("button", { name: "Use it" }).click();
    await page.getByText("this is not the administrator's token").waitFor();
    // The refusal is a 401, which the browser notes.
    stage.complaints.length = 0;
    await field.fill(token);
    await page.getByRole("button", { name: "Use it" }).click();
    await page.getByText("This window may change things").waitFor();
    await page.getByRole("link", { name: "Roots", exact: true }).click();
    await page.getByRole("button", { name: "Remove the root release-1" }).click();
    assert.equal(stage.server.store.roots().length, 1);
    await checkAccess(page);
    await page.getByRole("button", { name: "Really remove the root release-1" }).click();
    await page.getByText(/^Nothing is held/).waitFor();
    assert.equal(stage.server.store.roots().length, 0);
    const out = stage.outputOf(id, app);
    const pipe = await stage.pipe();
    const running = stage.derivation("running", `read -r line < ${pipe.path}`);
    const buildID = await stage.build([running]);
    await page.goto(stage.url(`/build/${buildID}/`));
    await page.getByRole("button", { name: "Cancel build" }).click();
    assert.ok(stage.server.builds.running(buildID) !== undefined);
    await page.getByRole("button", { name: "Really cancel?" }).click();
    await page.getByText("Cancelled").first().waitFor();
    await page.goto(stage.url(objectPath(out)));
    await page.getByRole("button", { name: "Delete" }).click();
    assert.ok(stage.server.store.has(out));
    await page.getByRole("button", { name: "Delete app for good" }).click();
    await page.waitForURL("**/store/");
    assert.ok(!stage.server.store.has(out));
    await page.context().close();
    await bears("/roots/", (each) => each.getByText("would remove").waitFor());
  });

  test("the daemon's health shows what works on this machine, and the way for programs", async () => {
    const ready = (page: Page) =>
      page.getByRole("heading", { name: "What works on this machine" }).waitFor();
    const page = await stage.look("/health/");
    await ready(page);
    await page.getByText("Live", { exact: true }).waitFor();
    await page.getByText("0 of 4").waitFor();
    const response = await page.request.get(stage.url("/metrics"));
    assert.match(await response.text(), /^kiln_jobs 4$/m);
    await page.context().close();
    await bears("/health/", ready);
  });
});

describe("all pages", { skip: needsBrowser }, () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.open();
  });
  after(async () => await stage[Symbol.asyncDispose]());

  test("say plainly what is not there, with the right status", async () => {
    const absent = `${stage.server.store.directory}/00000000000000000000000000000000-absent`;
    for (const [path, status, text] of [
      ["/nothing", 404, "There is no such page."],
      [objectPath(absent), 200, `${absent} is not in the store.`],
      [`/store/derivation?path=${encodeURIComponent(`${absent}.drv`)}`, 200, "absent.drv"],
      [objectPath(`"><script>window.harm=1</script>`), 200, "<script>window.harm=1</script>"],
    ] as const) {
      const page = await stage.window({ width: 390, scheme: "dark" });
      const response = await page.goto(stage.url(path));
      assert.equal(response?.status(), status, path);
      await page.getByRole("heading", { level: 1 }).filter({ hasText: text }).waitFor();
      await checkAccess(page);
      assert.equal(await page.evaluate("window.harm"), undefined);
      await page.context().close();
    }
    // The browser says itself that there was a 404.
    stage.complaints.length = 0;
  });

  test("can be gone through by keys alone, and the keys can be seen and switched off", async () => {
    const one = stage.derivation("one", "echo 1 > $out");
    const two = stage.derivation("two", "echo 2 > $out", { inputs: [derivationPath(one)] });
    const id = await stage.built([one, two]);
    const page = await stage.look("/");
    await page.getByRole("link", { name: "two" }).waitFor();
    await page.keyboard.press("Tab");
    assert.equal(await page.locator(":focus").innerText(), "Skip to the content");
    for (const [key, heading] of [
      ["s", "Store"],
      ["r", "Roots"],
      ["h", "Health"],
      ["b", "Builds"],
    ] as const) {
      await page.keyboard.press("g");
      await page.keyboard.press(key);
      await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
    }
    await page.getByRole("link", { name: "two" }).waitFor();
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "two", level: 1 }).waitFor();
    await page.keyboard.press("l");
    await page.getByRole("link", { name: "Derivation" }).waitFor();
    const first = await page.getByRole("heading", { level: 1 }).innerText();
    await page.keyboard.press(first === "one" ? "]" : "[");
    const other = first === "one" ? "two" : "one";
    await page.getByRole("heading", { name: other, level: 1 }).waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("gs?");
    assert.equal(await page.getByRole("dialog").count(), 0);
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
    await checkAccess(page);
    await page.getByLabel("Single keys do something").uncheck();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.keyboard.press("g");
    await page.keyboard.press("b");
    assert.ok(page.url().includes(id));
    await page.context().close();
    stage.checkComplaints();
  });

  test("are found by what is typed above: an id, a target, a path", async () => {
    const one = stage.derivation("one", "echo 1 > $out");
    const id = await stage.built([one]);
    const page = await stage.look("/store/");
    const find = page.getByRole("searchbox", { name: /Find a build/ });
    for (const [text, heading] of [
      [derivationPath(one), "one"],
      [stage.outputOf(id, one), "one"],
    ] as const) {
      await find.fill(text);
      await find.press("Enter");
      await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
    }
    await find.fill(id.slice(-8));
    await find.press("Enter");
    await page.getByRole("link", { name: "one" }).waitFor();
    await page.context().close();
    stage.checkComplaints();
  });

  test("say when the daemon cannot be reached, and go on when it can", async () => {
    const page = await stage.look("/");
    await page.getByText("Live", { exact: true }).waitFor();
    const open = await stage.stopPage();
    await page.getByText(/^Reconnecting, last update/).waitFor();
    await open();
    await page.getByText("Live", { exact: true }).waitFor();
    await stage.built([stage.derivation("meanwhile", "echo > $out")]);
    await page.getByRole("link", { name: "meanwhile" }).waitFor();
    await page.context().close();
    stage.complaints.length = 0; // of the interruption
  });

  test("can be used at 200 % and with forced colours", async () => {
    const one = stage.derivation("one", "echo 1 > $out");
    const id = await stage.built([one]);
    for (const path of ["/", `/build/${id}/`, "/store/"]) {
      const page = await stage.window({ width: 640 });
      await page.emulateMedia({ forcedColors: "active" });
      await page.goto(stage.url(path));
      await page.getByRole("heading", { level: 1 }).waitFor();
      await checkAccess(page);
      await page.context().close();
    }
    stage.checkComplaints();
  });
});
