// The pages of builds in a real browser.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { derivationPath } from "../../src/format/derivation/print.ts";
import { shortID } from "../../src/cli/text.ts";
import { checkAccess, looks, needsBrowser, resultPath, soon, Stage, titled } from "./stage.ts";

describe("the page of builds", { skip: needsBrowser }, () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.open();
  });
  after(async () => await stage[Symbol.asyncDispose]());

  test("says how to begin when there is nothing", async () => {
    const page = await stage.look("/");
    await page.getByText("No builds yet").waitFor();
    await checkAccess(page);
    await page.context().close();
    stage.checkComplaints();
  });

  test("shows a build that begins, runs and ends as it happens", async () => {
    const page = await stage.look("/");
    await page.getByText("Live", { exact: true }).waitFor();
    const pipe = await stage.pipe();
    const slow = stage.derivation("slow", `read -r line < ${pipe.path}; echo "$line" > $out`);
    const id = await stage.build([slow]);
    await page.getByText("Running now").waitFor(soon);
    await page.getByRole("link", { name: "slow" }).first().waitFor(soon);
    await page.getByText("0 of 1").waitFor(soon);
    await titled(page, /1 running/);
    await pipe.write("over\n");
    await stage.server.builds.ended(id);
    await page.getByText("Running now").waitFor({ state: "detached", ...soon });
    await page.getByRole("cell", { name: "Built", exact: true }).waitFor(soon);
    await page.getByText("No build of these has succeeded before").waitFor(soon);
    await page.context().close();
    stage.checkComplaints();
  });

  test("finds builds by target and shows those that failed alone", async () => {
    await stage.built([stage.derivation("good", "echo fine > $out")]);
    await stage.built([stage.derivation("bad", "echo no >&2; exit 3")]);
    const page = await stage.look("/");
    await page.getByRole("link", { name: "good" }).waitFor();
    await page.getByRole("button", { name: "Failed" }).click();
    await page.getByRole("link", { name: "good" }).waitFor({ state: "detached" });
    await page.getByRole("link", { name: "bad" }).waitFor();
    assert.ok(page.url().endsWith("/?state=failed"));
    await page.getByText("builder exited with status 3").waitFor();
    await page.getByText(/^of [\d,]+ builds? kept/).waitFor();
    await page.getByRole("button", { name: "Succeeded" }).click();
    await page.getByRole("link", { name: "good" }).waitFor();
    await page.getByRole("link", { name: "bad" }).waitFor({ state: "detached" });
    await page.getByRole("button", { name: "All", exact: true }).click();
    await page.keyboard.press("/");
    await page.keyboard.type("goo");
    await page.keyboard.press("Enter");
    await page.getByText("with “goo”").waitFor();
    await page.getByRole("link", { name: "bad" }).waitFor({ state: "detached" });
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "good", level: 1 }).waitFor();
    await page.context().close();
    stage.checkComplaints();
  });

  for (const look of looks) {
    test(`has nothing that axe finds, ${look.scheme} and ${look.width} px wide`, async () => {
      const page = await stage.look("/", look);
      await page.getByRole("link", { name: "bad" }).waitFor();
      await checkAccess(page);
      await page.context().close();
      stage.checkComplaints();
    });
  }
});

describe("the page of a build", { skip: needsBrowser }, () => {
  let stage: Stage;
  before(async () => {
    stage = await Stage.open();
  });
  after(async () => await stage[Symbol.asyncDispose]());

  test("follows a build: states, log, failure with its likely cause, and what was skipped", async () => {
    const pipe = await stage.pipe();
    const lib = stage.derivation("lib", "echo lib > $out");
    const app = stage.derivation(
      "app",
      `while read -r line; do echo "$line"; [ "$line" = stop ] && exit 2; done < ${pipe.path}`,
      { inputs: [derivationPath(lib)] },
    );
    const pack = stage.derivation("pack", "echo > $out", { inputs: [derivationPath(app)] });
    const id = await stage.build([lib, app, pack]);
    const page = await stage.look(`/build/${id}/`);
    const results = page.locator("#results");
    // The other one may still be on its way to disk when this one begins.
    await results.getByRole("img", { name: "running" }).last().waitFor();
    await results.getByText("waits for app").waitFor();
    await pipe.write("compiling things\n");
    await results.getByText("compiling things").waitFor(soon);
    await titled(page, /▸ 1\/3 pack/);
    await pipe.write("src/a.ts(1,2): error TS2304: no such name\nstop\n");
    await page.getByText("The build is over: failed").waitFor({ ...soon, state: "attached" });
    await page.getByText("error TS2304: no such name").first().waitFor(soon);
    await results.getByText("app failed").waitFor(soon);
    await titled(page, /✗ pack/);
    for (const look of looks.filter((_, i) => i === 0 || i === 3)) {
      const other = await stage.look(`/build/${id}/`, look);
      await other.locator("#graph").scrollIntoViewIfNeeded();
      await other.locator("#graph .node").first().waitFor();
      await checkAccess(other);
      await other.context().close();
    }
    await page.getByRole("link", { name: "Whole log" }).click();
    await page.getByText(`kiln log ${shortID(id)} app`, { exact: true }).waitFor();
    // What was typed to build it is known to who typed it alone.
    assert.equal(await page.getByText("kiln build").count(), 0);
    await page.context().close();
    stage.checkComplaints();
  });

  test("goes on when objects are made, which is news of the store and not of a result", async () => {
    const pipe = await stage.pipe();
    const first = stage.derivation("made", `read -r line < ${pipe.path}; echo "$line" > $out`);
    const last = stage.derivation("last", `read -r line < ${pipe.path}; echo "$line" > $out`, {
      inputs: [derivationPath(first)],
    });
    const id = await stage.build([first, last]);
    const page = await stage.look(`/build/${id}/`);
    const running = page.locator("#results").getByRole("img", { name: "running" });
    await running.waitFor();
    await pipe.write("made\n");
    await page.getByText("1 built").waitFor();
    await pipe.write("made, too\n");
    await page.getByText("2 built").waitFor();
    await page.getByText("Took", { exact: true }).waitFor();
    await page.context().close();
    stage.checkComplaints();
  });

  test("folds the graph of a thousand derivations to what can be looked at, and opens folds", async () => {
    const leaves = Array.from({ length: 990 }, (_, i) =>
      stage.derivation(`leaf-${i}`, "echo leaf > $out"),
    );
    // They are reused: what matters is what is built on them.
    await stage.built(leaves, leaves);
    const leafPaths = leaves.map(derivationPath);
    const middles = Array.from({ length: 9 }, (_, i) =>
      stage.derivation(`middle-${i}`, "echo middle > $out", {
        inputs: leafPaths.slice(i * 110, (i + 1) * 110),
      }),
    );
    const middlePaths = middles.map(derivationPath);
    const top = stage.derivation("top", "exit 1", { inputs: middlePaths });
    const id = await stage.built([...middles, top]);
    const page = await stage.look(`/build/${id}/`);
    await page.locator("#graph .node").first().waitFor();
    const nodes = await page.locator("#graph .node").count();
    assert.ok(nodes >= 10 && nodes <= 160, `${nodes} nodes`);
    await page
      .getByText("1,000, of which 990 folded")
      .or(page.getByText("1000, of which 990 folded"))
      .waitFor();
    await page.getByText("990 reused").nth(1).waitFor();
    await page.locator("#graph .folded").click();
    await page.getByText("of which 940 folded").waitFor();
    const opened = await page.evaluate<string>("document.activeElement?.textContent");
    assert.match(opened, /^leaf-\d+, reused/, "what came out of the fold is gone to");
    await page.locator("#graph .node", { hasText: "top" }).click();
    await page.getByRole("heading", { name: "top", level: 1 }).waitFor();
    await page.context().close();
    stage.checkComplaints();
  });

  test("lets arrow keys go through the graph, shows the critical path, and lists the same in text", async () => {
    const a = stage.derivation("first", "echo 1 > $out");
    const b = stage.derivation("second", "echo 2 > $out", { inputs: [derivationPath(a)] });
    const both = [a, b].map(derivationPath);
    const id = await stage.built([
      a,
      b,
      stage.derivation("third", "echo 3 > $out", { inputs: both }),
    ]);
    const page = await stage.look(`/build/${id}/`);
    const node = (name: string) => page.locator("#graph .node", { hasText: name });
    await node("first").waitFor();
    await node("first").focus();
    await page.keyboard.press("ArrowRight");
    const label = await page.evaluate<string>("document.activeElement?.textContent");
    assert.match(label, /^second, built, .*needs 1$/);
    const names = await page.locator("#results .name").allInnerTexts();
    assert.deepEqual(names, ["first", "second", "third"]);
    const critical = await page.locator("#graph .graph-lines .critical").getAttribute("d");
    assert.equal(critical?.match(/M/g)?.length, 2, "the critical path is no short cut");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "second", level: 1 }).waitFor();
    await page.context().close();
    stage.checkComplaints();
  });

  test("shows the whole graph and tells apart what has long names, where there is little room, too", async () => {
    const layers: ReturnType<typeof derivationPath>[][] = [];
    const made = Array.from({ length: 30 }, (_, i) => {
      const layer = Math.floor(i / 5);
      const name = `service-with-a-rather-long-name-number-${i}`;
      const one = stage.derivation(name, "echo > $out", { inputs: layers[layer - 1] ?? [] });
      (layers[layer] ??= []).push(derivationPath(one));
      return one;
    });
    const id = await stage.built(made);
    for (const width of [1280, 390]) {
      const page = await stage.look(`/build/${id}/`, { width });
      await page.locator("#graph").scrollIntoViewIfNeeded();
      await page.locator("#graph .node").first().waitFor();
      const box = "const box = document.querySelector('.graph-scroller')";
      const hidden = `(() => { ${box}; return box.scrollWidth > box.clientWidth || box.scrollHeight > box.clientHeight; })()`;
      const becomes = async (wanted: boolean): Promise<void> => {
        const end = Date.now() + soon.timeout;
        while ((await page.evaluate<boolean>(hidden)) !== wanted) {
          assert.ok(
            Date.now() < end,
            `at ${width} px parts are ${wanted ? "never" : "always"} hidden`,
          );
          await page.evaluate("new Promise(requestAnimationFrame)");
        }
      };
      await becomes(true);
      for (const fit of [
        async () => await page.getByRole("button", { name: "Fit into the box" }).click(),
        async () => await page.keyboard.press("0"),
      ]) {
        await fit();
        await becomes(false);
        await page.getByRole("button", { name: "Zoom in" }).click({ clickCount: 8 });
        await becomes(true);
      }
      // The ends of the names lie within their places, and the scale within the card.
      const cut = await page.evaluate<string[]>(`[...document.querySelectorAll("#timeline .who")]
        .filter((who) => who.lastElementChild.getBoundingClientRect().right > who.getBoundingClientRect().right)
        .map((who) => who.textContent)`);
      assert.deepEqual(cut, []);
      const rights = async (all: string): Promise<number> =>
        await page.evaluate<number>(`Math.max(...[...document.querySelectorAll(${JSON.stringify(all)})]
          .map((one) => one.getBoundingClientRect().right))`);
      const room = await rights("#timeline .axis");
      assert.ok((await rights("#timeline .span")) > room * 0.85, "bars take the room there is");
      assert.ok((await rights("#timeline .axis span")) < room, "the scale keeps to its room");
      await checkAccess(page);
      await page.context().close();
    }
    stage.checkComplaints();
  });

  test("has a scale whose times stand beside each other within their room, however long it took", async () => {
    const one = stage.derivation("however-long", "echo > $out");
    const id = await stage.built([one]);
    const minute = 60_000;
    for (const width of [1280, 390]) {
      const page = await stage.window({ width });
      for (const took of [
        0,
        9,
        47,
        230,
        940,
        3300,
        52_000,
        7 * minute,
        95 * minute,
        9000 * minute,
      ]) {
        await page.unrouteAll();
        await page.route(`**/api/v1/builds/${id}`, async (route) => {
          const response = await route.fetch();
          const build = (await response.json()) as { startedAt: string; results: object[] };
          const endedAt = new Date(Date.parse(build.startedAt) + took).toISOString();
          const results = build.results.map((result) => ({
            ...result,
            startedAt: build.startedAt,
            endedAt,
          }));
          await route.fulfill({ response, json: { ...build, endedAt, results } });
        });
        await page.goto(stage.url(`/build/${id}/`));
        await page.locator("#timeline .axis span").first().waitFor();
        const edges = await page.evaluate<number[]>(`(() => {
          const { left, right } = document.querySelector("#timeline .axis").getBoundingClientRect();
          const times = [...document.querySelectorAll("#timeline .axis span")].map((one) => one.getBoundingClientRect());
          return [left, ...times.flatMap((one) => [one.left, one.right]), right];
        })()`);
        const text = `${took} ms at ${width} px: ${edges.join(" ")}`;
        assert.ok(edges.length >= (took < 10 ? 4 : 6), `two times at least: ${text}`);
        assert.deepEqual(
          edges,
          edges.toSorted((a, b) => a - b),
          text,
        );
      }
      await page.context().close();
    }
    stage.checkComplaints();
  });

  test("says why bars overlap when a builder began before its inputs were on disk", async () => {
    const lib = stage.derivation("lib-early", "echo > $out");
    const app = stage.derivation("app-early", "echo > $out", { inputs: [derivationPath(lib)] });
    const id = await stage.built([lib, app]);
    const why = "some began while inputs were being brought to disk";
    for (const [member, isEarly] of [
      ["endedAt", 0],
      ["startedAt", 1],
    ] as const) {
      const page = await stage.window();
      await page.route(`**/api/v1/builds/${id}`, async (route) => {
        const response = await route.fetch();
        const build = (await response.json()) as {
          startedAt: string;
          endedAt: string;
          results: { name: string }[];
        };
        const results = build.results.map((result) =>
          result.name === "app-early" ? { ...result, startedAt: build[member] } : result,
        );
        await route.fulfill({ response, json: { ...build, results } });
      });
      await page.goto(stage.url(`/build/${id}/`));
      await page.locator("#timeline .who").nth(1).waitFor();
      assert.equal(await page.getByText(why).count(), isEarly);
      await page.context().close();
    }
    stage.checkComplaints();
  });

  test("of a build that there is not is not found, and says so", async () => {
    for (const [address, name] of [
      ["01a20791-ffff-72da-8231-000000000000", /No build 00000000/],
      ["nothere", /No build nothere/],
    ] as const) {
      const page = await stage.window();
      const response = await page.goto(stage.url(`/build/${address}/`));
      assert.equal(response?.status(), 404);
      await page.getByRole("heading", { name }).waitFor();
      await checkAccess(page);
      await page.context().close();
    }
    // The browser says itself that there was a 404.
    stage.complaints.length = 0;
  });

  test("shows of a result what it made, why, and what it took", async () => {
    const lib = stage.derivation("tabs-lib", "echo lib > $out");
    const app = stage.derivation("tabs-app", "echo app > $out", { inputs: [derivationPath(lib)] });
    const id = await stage.built([lib, app]);
    const page = await stage.look(resultPath(id, app));
    await page.getByText("The builder wrote nothing").waitFor();
    await page.getByRole("button", { name: "Outputs 1" }).click();
    await page.getByRole("table").getByRole("link", { name: "tabs-app" }).waitFor();
    await page.getByRole("button", { name: "Why" }).click();
    await page.getByRole("heading", { name: "Why it was built" }).waitFor();
    await page.getByRole("button", { name: "Resources" }).click();
    await page.getByText("Exit status").waitFor();
    await checkAccess(page);
    await page.getByRole("link", { name: "Derivation" }).click();
    await page.getByRole("heading", { name: "tabs-app", level: 1 }).waitFor();
    await page.goto(stage.url(`/build/${id}/?view=graph`));
    await page.locator("#graph .node", { hasText: "tabs-lib" }).waitFor();
    await page.context().close();
    stage.checkComplaints();
  });

  test("says what there is to a result that is reused", async () => {
    const one = stage.derivation("once", "echo once > $out");
    await stage.built([one]);
    const id = await stage.built([one]);
    const page = await stage.look(resultPath(id, one));
    await page.getByText("Reused: it was made in another build").waitFor();
    await page.context().close();
    stage.checkComplaints();
  });
});
