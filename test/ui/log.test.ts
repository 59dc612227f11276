// The log of a result in a real browser: long ones, running ones, and hostile ones.
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import type { Derivation } from "../../src/format/derivation/derivation.ts";
import { derivationPath } from "../../src/format/derivation/print.ts";
import { exportOf } from "../support/derivations.ts";
import type { Pipe } from "../support/web-stage.ts";
import { checkAccess, looks, needsBrowser, resultPath, Stage } from "./stage.ts";

const lines = 1_000_000;
const scroller = ".log-scroller";

/** The numbers and texts of the lines that can be seen. */
async function shown(page: Page): Promise<string[]> {
  return await page
    .locator(".log-row")
    .evaluateAll((rows) =>
      rows.map((row) => (row as { innerText: string }).innerText.replace("\n", " ")),
    );
}

/** Waits until the first line that can be seen is one of these and has its text: the browser tells of scrolling later. */
async function showsLine(page: Page, from: number, to: number): Promise<void> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const [first = "", text] = (await shown(page))[0]?.split(" ") ?? [];
    const line = Number(first.replaceAll(",", ""));
    if (line >= from && line <= to && text !== undefined) return;
    assert.ok(performance.now() < deadline, `"${first}" is first, wanted ${from} to ${to}`);
    await delay(20);
  }
}

describe("a log of a million lines", { skip: needsBrowser }, () => {
  let stage: Stage;
  let id: string;
  let big: Derivation;
  before(async () => {
    stage = await Stage.open();
    const needle = "s/^\\(777777\\) .*/\\1 src\\/a.ts(1,2): error TS2304: a Needle/";
    big = stage.derivation(
      "big",
      `seq 1 ${lines} | sed -e 's/$/ compiling something or other/' -e '${needle}'; echo > $out`,
    );
    id = await stage.built([big]);
  });
  after(async () => await stage[Symbol.asyncDispose]());

  test("opens at once, at its beginning or at any line", async () => {
    const page = await stage.look(resultPath(id, big));
    await page.getByText("1 compiling something or other", { exact: true }).waitFor();
    await page.getByText("1,000,000 lines").waitFor();
    const begun = performance.now();
    await page.goto(`${page.url()}#L654321`);
    await page.getByText("654321 compiling something or other", { exact: true }).waitFor();
    const took = performance.now() - begun;
    assert.ok(took < 2000, `${took} ms`);
    assert.equal(await page.locator(".log-row.selected .line-number").innerText(), "654,321");
    await page.context().close();
    stage.checkComplaints();
  });

  test("is scrolled by bar, wheel and keys from end to end, drawing only what is seen", async () => {
    const page = await stage.look(resultPath(id, big));
    const region = page.locator(scroller);
    await page.getByText("1 compiling something or other", { exact: true }).waitFor();
    await region.focus();
    await page.keyboard.press("End");
    await page.getByText(`${lines} compiling something or other`, { exact: true }).waitFor();
    const bottom = await page.locator(".log-row").last().boundingBox();
    const box = await region.boundingBox();
    assert.ok(Math.abs((bottom?.y ?? 0) + 20 - ((box?.y ?? 0) + (box?.height ?? 0))) < 25);
    await page.keyboard.press("Home");
    await page.getByText("1 compiling something or other", { exact: true }).waitFor();
    await page.mouse.move((box?.x ?? 0) + 100, (box?.y ?? 0) + 100);
    await page.mouse.wheel(0, 200);
    await showsLine(page, 11, 11);
    for (const part of [0.25, 0.5, 0.75]) {
      await region.evaluate((element, at) => {
        const bar = element as { scrollTop: number; scrollHeight: number };
        bar.scrollTop = bar.scrollHeight * at;
      }, part);
      const wanted = lines * part;
      await showsLine(page, wanted - lines / 100, wanted + lines / 100);
      const rows = await page.locator(".log-row").count();
      assert.ok(rows < 100, `${rows} rows`);
    }
    const heap = await page.evaluate<number>("performance.memory.usedJSHeapSize");
    assert.ok(heap < 150e6, `${heap} bytes`);
    await page.context().close();
    stage.checkComplaints();
  });

  test("is searched by the daemon: the count is exact, and each match can be gone to", async () => {
    const page = await stage.look(resultPath(id, big));
    await page.getByText("1,000,000 lines").waitFor();
    await page.keyboard.press("/");
    const begun = performance.now();
    await page.keyboard.type("needle");
    await page.getByText("1 of 1", { exact: true }).waitFor();
    const took = performance.now() - begun;
    assert.ok(took < 6000, `${took} ms`);
    // The first match is gone to unasked.
    await page.locator("mark.current").waitFor();
    assert.equal(await page.locator("mark.current").innerText(), "Needle");
    assert.ok((await shown(page)).some((row) => row.startsWith("777,777")));
    const field = page.getByRole("searchbox", { name: /Find in/ });
    await field.fill("99999");
    // 99999, 199999, … 999999, and 999990 to 999999 but once.
    await page.getByText("1 of 28").or(page.getByText("1 of 19")).waitFor();
    await page.getByRole("button", { name: "Previous match" }).click();
    await page.getByText("28 of 28").or(page.getByText("19 of 19")).waitFor();
    await page.locator("mark.current").first().waitFor();
    await field.fill("^12345\\d ");
    await page.getByRole("button", { name: "Regular expression" }).click();
    await page.getByText("1 of 10").waitFor();
    await field.fill("(");
    await page.getByText(/Invalid regular expression/).waitFor();
    await page.context().close();
    // The refusal of a wrong expression is a 400, which the browser notes.
    stage.complaints.length = 0;
  });
});

describe("the log of a builder that runs", { skip: needsBrowser }, () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.open();
  });
  after(async () => await stage[Symbol.asyncDispose]());

  test("is followed: a line is there within 200 ms", async () => {
    const pipe = await stage.pipe();
    const running = stage.derivation(
      "running",
      `while read -r line; do [ "$line" = stop ] && break; echo "$line"; done < ${pipe.path}; echo > $out`,
    );
    const id = await stage.build([running]);
    const page = await stage.look("/");
    await page.getByText("Running now").waitFor();
    await page.goto(stage.url(resultPath(id, running)));
    await page.getByText(/No output yet/).waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    await page.evaluate(`
      window.seen = {};
      new MutationObserver(() => {
        for (const row of document.querySelectorAll(".line-text")) window.seen[row.textContent] ??= Date.now();
      }).observe(document.body, { childList: true, subtree: true, characterData: true });
    `);
    const delays: number[] = [];
    for (let i = 0; i < 15; i++) {
      const begun = Date.now();
      await pipe.write(`line number ${i}\n`);
      await page.getByText(`line number ${i}`, { exact: true }).waitFor();
      const seen = await page.evaluate<number>(`window.seen["line number ${i}"]`);
      delays.push(seen - begun);
    }
    // The middle one: on a busy machine any of them may be late.
    const middle = delays.toSorted((a, b) => a - b)[7] ?? Infinity;
    assert.ok(middle < 200, `${delays.join(" ")} ms`);
    await pipe.write("stop\n");
    await page.getByText("Built", { exact: true }).waitFor();
    await page.getByText("15 lines").waitFor();
    await page.context().close();
    stage.checkComplaints();
  });

  test("stays where it is read when it grows, and goes on after an interruption, telling nothing twice", async () => {
    const pipe = await stage.pipe();
    const long = stage.derivation(
      "long",
      `seq 1 500; while read -r line; do [ "$line" = stop ] && break; echo "$line"; done < ${pipe.path}; echo > $out`,
    );
    const id = await stage.build([long]);
    await stage.server.builds.records.logFile(id, derivationPath(long)).beyond(1800);
    const page = await stage.look(resultPath(id, long));
    await page.getByText("500", { exact: true }).nth(1).waitFor();
    await page.locator(scroller).hover();
    await page.mouse.wheel(0, -2000);
    await page.getByRole("button", { name: /^Paused/ }).waitFor();
    const before = await shown(page);
    await pipe.write("later 1\nlater 2\nlater 3\n");
    await page.getByRole("button", { name: "Paused, 3 new lines" }).waitFor();
    assert.deepEqual(await shown(page), before);
    await page.context().setOffline(true);
    await pipe.write("meanwhile\n");
    await page.context().setOffline(false);
    await page.getByRole("button", { name: /^Paused/ }).click();
    await pipe.write("and on\n");
    await page.getByText("and on", { exact: true }).waitFor();
    const rows = await shown(page);
    assert.deepEqual(
      rows.slice(-5).map((row) => row.replace(/^\S+\s/, "")),
      ["later 1", "later 2", "later 3", "meanwhile", "and on"],
    );
    await pipe.write("stop\n");
    await page.getByText("505 lines").waitFor();
    await page.context().close();
    stage.complaints.length = 0; // of the interruption
  });
});

describe("a log that grows while the page asks for its lines", { skip: needsBrowser }, () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.open();
  });
  after(async () => await stage[Symbol.asyncDispose]());

  /** A builder that has written 100 lines, and goes on as the pipe says. */
  async function begun(name: string): Promise<{ id: string; builder: Derivation; pipe: Pipe }> {
    const pipe = await stage.pipe();
    const builder = stage.derivation(
      name,
      `seq 1 100; dd bs=4k count=2 status=none < ${pipe.path}; echo > $out`,
    );
    const id = await stage.build([builder]);
    const { records } = stage.server.builds;
    while (records.inspect(id)?.results[0]?.state !== "running") await delay(10);
    await records.logFile(id, derivationPath(builder)).beyond(291);
    return { id, builder, pipe };
  }

  async function lastTexts(page: Page): Promise<string[]> {
    return (await shown(page)).slice(-4).map((row) => row.replace(/^\S+ ?/, ""));
  }

  test("is shown with what was told before the answer came", async () => {
    const { id, builder, pipe } = await begun("told-first");
    const page = await stage.window();
    const added = Promise.withResolvers<void>();
    await page.route("**/log/lines?*", async (route) => {
      const response = await route.fetch();
      // This answer does not know of what is added meanwhile, and the page hears of first.
      await added.promise;
      await route.fulfill({ response });
    });
    await page.goto(stage.url(resultPath(id, builder)));
    await page.getByText("Live", { exact: true }).waitFor();
    await pipe.write("told\nhalf ");
    await page.getByText("102 lines").waitFor();
    added.resolve();
    await page.getByText("told", { exact: true }).waitFor();
    assert.deepEqual(await lastTexts(page), ["99", "100", "told", "half "]);
    await pipe.write("and half\nend\n");
    await page.getByText("103 lines").waitFor();
    await page.getByText("end", { exact: true }).waitFor();
    assert.deepEqual(await lastTexts(page), ["100", "told", "half and half", "end"]);
    await page.context().close();
    stage.checkComplaints();
  });

  test("is shown with what the answer said before it was told", async () => {
    const { id, builder, pipe } = await begun("answered-first");
    const page = await stage.window();
    const answered = Promise.withResolvers<void>();
    await page.route("**/log/events?*", async (route) => {
      await answered.promise;
      await route.continue();
    });
    await page.route(
      "**/log/lines?*",
      async (route) => {
        await pipe.write("answered\nhalf ");
        await stage.server.builds.records.logFile(id, derivationPath(builder)).beyond(300);
        await route.fulfill({ response: await route.fetch() });
      },
      { times: 1 },
    );
    await page.goto(stage.url(resultPath(id, builder)));
    await page.getByText("answered", { exact: true }).waitFor();
    answered.resolve();
    await page.getByText("Live", { exact: true }).waitFor();
    await pipe.write("and half\nend\n");
    await page.getByText("end", { exact: true }).waitFor();
    assert.deepEqual(await lastTexts(page), ["100", "answered", "half and half", "end"]);
    await page.context().close();
    stage.checkComplaints();
  });

  test("is shown to its end although each of its lines is very long", async () => {
    const long = stage.derivation(
      "long-lines",
      `line=$(printf '%20000s' x | tr ' ' a); i=0; while [ $i -lt 400 ]; do echo "$i $line"; i=$((i + 1)); done; echo > $out`,
    );
    const id = await stage.built([long]);
    const page = await stage.look(`${resultPath(id, long)}#L399`);
    await page.getByText(/^398 a{100}/).waitFor();
    await page.context().close();
    stage.checkComplaints();
  });
});

describe("what a builder writes", { skip: needsBrowser }, () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.open();
  });
  after(async () => await stage[Symbol.asyncDispose]());

  const hostile = [
    "<script>window.harm = 1</script>",
    '<img src=x onerror="window.harm = 2">',
    "</pre></div><iframe srcdoc='<script>parent.harm = 3</script>'></iframe>",
    "javascript:window.harm=4",
    "\\033]8;;javascript:window.harm=5\\007link\\033]8;;\\007",
    "\\033[31mred\\033[0m \\033[38;2;1;2;3mtrue\\033[m \\033[38;5;208mindexed\\033[0m \\033[1;999mbold",
    "\\000\\001\\007 controls \\033[2J\\033[H",
    "\\342\\200\\256turned around",
    "invalid \\377\\376 UTF-8",
    "10%%\\r50%%\\r100%%",
    "{{constructor.constructor('window.harm=6')()}}",
    "error: <b onmouseover=alert(1)>cause</b>",
  ];

  test("is text and nothing but text, in the log, the likely cause, names and the list of builds", async () => {
    const script = `${hostile.map((line) => `printf '${line.replaceAll("'", "'\\''")}\\n'`).join("\n")}\nexit 1`;
    const name = "a+b._-x";
    const derivation = stage.derivation(name, script);
    await stage.client.importStream([exportOf([derivation])]);
    const drvPath = derivationPath(derivation);
    const { buildID: id } = await stage.client.call("zb.realize", {
      drvPath: [drvPath],
      targets: [{ name: "<img src=x onerror=window.harm=7>", drvPath }],
    });
    await stage.server.builds.ended(id);
    for (const path of ["/", `/build/${id}/`, resultPath(id, derivation)]) {
      const page = await stage.look(path);
      await page.getByText("<img src=x onerror=window.harm=7>").first().waitFor();
      if (path.includes("result")) {
        await page.getByText("<script>window.harm = 1</script>", { exact: true }).waitFor();
        await page.getByText("cause</b>").first().waitFor();
        const rows = (await shown(page)).join("\n");
        assert.match(rows, /<U\+202E>turned around/);
        assert.match(rows, /invalid \uFFFD\uFFFD UTF-8/);
        assert.match(rows, /␀␁␇ controls $/m);
        assert.match(rows, /\b100%$/m);
        assert.doesNotMatch(rows, /50%/);
        assert.equal(await page.locator(".line-text .t-c1").first().innerText(), "red");
        const style = await page.getByText("true", { exact: true }).getAttribute("style");
        assert.equal(style, "--color: #010203;");
      }
      assert.equal(await page.evaluate("window.harm"), undefined, path);
      assert.equal(await page.locator("main img, main iframe, main script").count(), 0, path);
      await page.context().close();
    }
    stage.checkComplaints();
    for (const look of looks) {
      const page = await stage.look(resultPath(id, derivation), look);
      await page.getByText("controls").first().waitFor();
      await checkAccess(page);
      await page.context().close();
    }
    stage.checkComplaints();
  });

  test("can be linked to and copied line by line", async () => {
    const derivation = stage.derivation("plain", "seq 1 100; exit 1");
    const id = await stage.built([derivation]);
    const page = await stage.look(resultPath(id, derivation));
    await page.getByRole("link", { name: "90", exact: true }).click();
    assert.ok(page.url().endsWith("#L90"));
    await page.getByRole("link", { name: "93", exact: true }).click({ modifiers: ["Shift"] });
    assert.ok(page.url().endsWith("#L90-L93"));
    const selected = page.locator(".log-row.selected");
    // The browser tells of the new address later.
    await selected.nth(3).waitFor();
    assert.equal(await selected.count(), 4);
    await page.reload();
    await selected.nth(3).waitFor();
    assert.equal(await selected.count(), 4);
    await page.context().close();
    stage.checkComplaints();
  });
});
