import assert from "node:assert/strict";
import { describe, test } from "node:test";
import * as fc from "fast-check";
import { parseStorePath, type StorePath } from "../format/store-path.ts";
import type { Plan, PlannedDerivation } from "./plan.ts";
import { carryOutPlan, type Ended, type SchedulerOptions } from "./scheduler.ts";
import { shellDerivation } from "./workbench.test.support.ts";
import { parseStoreDirectory } from "../format/store-path.ts";

const directory = parseStoreDirectory("/s");
const drvPath = (name: string): StorePath => parseStorePath(`/s/${"0".repeat(32)}-${name}.drv`);
const output = (name: string, variant = 0): StorePath =>
  parseStorePath(`/s/${String(variant).repeat(32)}-${name}`);

type Action = PlannedDerivation["action"];

/** A plan by name: what to do, what it waits for, and the output it is assumed to have. */
function planOf(
  rows: Readonly<Record<string, { action?: Action; waits?: string; assumed?: StorePath }>>,
): Plan {
  return new Map(
    Object.entries(rows).map(([name, { action = "build", waits = "", assumed }]) => [
      drvPath(name),
      {
        node: {
          drvPath: drvPath(name),
          derivation: shellDerivation(directory, name, ""),
          outputs: ["out"],
        },
        action,
        drvHash: undefined,
        outputs: assumed && new Map([["out", assumed]]),
        isPresent: false,
        isCheck: false,
        waitsFor: new Set(waits.split(" ").filter(Boolean).map(drvPath)),
        choice: undefined,
      },
    ]),
  );
}

interface Record_ {
  readonly events: string[];
}

/** Carries a plan out; `behave` says how each ends. Notes what begins, ends and is skipped. */
async function run(
  plan: Plan,
  behave: (name: string) => Ended | Promise<Ended>,
  options: Partial<SchedulerOptions> = {},
): Promise<Record_> {
  const events: string[] = [];
  await carryOutPlan(plan, {
    carryOut: async ({ node }) => {
      events.push(`+${node.derivation.name}`);
      const ended = await behave(node.derivation.name);
      events.push(`${ended === "failed" ? "!" : "-"}${node.derivation.name}`);
      return ended;
    },
    onSkipped: ({ node }) => events.push(`~${node.derivation.name}`),
    replan: () => assert.fail("there is nothing to plan again"),
    keepGoing: true,
    signal: new AbortController().signal,
    ...options,
  });
  return { events };
}

const made = (name: string): Ended => ({ outputs: new Map([["out", output(name)]]) });

describe("carrying out a plan", () => {
  test("ends at once when there is nothing to do", async () => {
    const { events } = await run(planOf({ a: { action: "none" }, b: { action: "done" } }), made);
    assert.deepEqual(events, []);
  });

  test("begins everything that waits for nothing, in the order of the plan, and the rest when its inputs are there", async () => {
    const plan = planOf({ a: {}, b: {}, c: { waits: "a b" }, d: { waits: "a" } });
    const { events } = await run(plan, async (name) => {
      if (name === "b") await new Promise(setImmediate);
      return made(name);
    });
    assert.deepEqual(events, ["+a", "+b", "-a", "+d", "-d", "-b", "+c", "-c"]);
  });

  test("goes on after a failure with what does not depend on it", async () => {
    const plan = planOf({ a: {}, b: { waits: "a" }, c: { waits: "b" }, d: {}, e: { waits: "d" } });
    const { events } = await run(plan, (name) => (name === "a" ? "failed" : made(name)));
    assert.deepEqual(
      events.filter((event) => event.startsWith("~")),
      ["~b", "~c"],
    );
    assert.ok(events.includes("-e"));
  });

  test("begins nothing after a failure when told so", async () => {
    const plan = planOf({ a: {}, d: {}, e: { waits: "d" } });
    const { events } = await run(
      plan,
      async (name) => {
        if (name === "d") await new Promise(setImmediate);
        return name === "a" ? "failed" : made(name);
      },
      { keepGoing: false },
    );
    assert.deepEqual(events, ["+a", "+d", "!a", "~e", "-d"]);
  });

  test("begins nothing after an abort, and waits for what runs", async () => {
    const controller = new AbortController();
    const plan = planOf({ a: {}, b: { waits: "a" } });
    const { events } = await run(
      plan,
      async (name) => {
        controller.abort();
        await new Promise(setImmediate);
        return made(name);
      },
      { signal: controller.signal },
    );
    assert.deepEqual(events, ["+a", "~b", "-a"]);
    assert.deepEqual((await run(plan, made, { signal: AbortSignal.abort() })).events, ["~a", "~b"]);
  });

  test("reuses what was assumed when that could not be checked", async () => {
    const plan = planOf({ a: { assumed: output("a") }, b: { action: "reuse", waits: "a" } });
    const { events } = await run(plan, (name) => (name === "a" ? "failed" : made(name)));
    assert.deepEqual(events, ["+a", "!a", "+b", "-b"]);
  });

  test("plans again when an output is not what was assumed, and drops what is not needed any more", async () => {
    const first = planOf({
      a: { assumed: output("a", 1) },
      b: { action: "reuse", waits: "a", assumed: output("b") },
      c: { waits: "b" },
      d: { waits: "a" },
    });
    const second = planOf({
      a: { action: "done" },
      b: { waits: "a" },
      c: { waits: "b" },
      d: { action: "none" },
    });
    const { events } = await run(first, made, { replan: () => second });
    assert.deepEqual(events, ["+a", "-a", "+b", "-b", "+c", "-c"]);
  });

  test("waits for what runs before it tells that no new plan can be made", async () => {
    const plan = planOf({ a: { assumed: output("a", 1) }, b: {}, c: { waits: "a" } });
    const events: string[] = [];
    const running = run(
      plan,
      async (name) => {
        if (name === "b") await new Promise((resolve) => setTimeout(resolve, 20));
        events.push(name);
        return made(name);
      },
      {
        onSkipped: ({ node }) => events.push(`~${node.derivation.name}`),
        replan: () => {
          throw new Error("no room");
        },
      },
    );
    await assert.rejects(running, /no room/);
    assert.deepEqual(events, ["a", "~c", "b"]);
  });

  test("does not plan again when everything is as assumed", async () => {
    const plan = planOf({ a: { assumed: output("a") }, b: { waits: "a" } });
    assert.deepEqual((await run(plan, made)).events, ["+a", "-a", "+b", "-b"]);
  });

  test("says so when its own code is at fault", async () => {
    const failing = run(planOf({ a: {}, b: { waits: "a" } }), () => {
      throw new Error("a defect");
    });
    await assert.rejects(failing, { message: "a defect" });
  });

  test("a chain of 20,000 is skipped without a deep stack", async () => {
    const rows: Record<string, { waits?: string }> = { n0: {} };
    for (let i = 1; i < 20_000; i++) rows[`n${i}`] = { waits: `n${i - 1}` };
    const { events } = await run(planOf(rows), () => "failed");
    assert.equal(events.filter((event) => event.startsWith("~")).length, 19_999);
  });

  test("of any graph everything begins after its inputs and ends exactly once", async () => {
    const graphs = fc.array(
      fc.record({ inputs: fc.array(fc.nat(20), { maxLength: 3 }), fails: fc.boolean() }),
      {
        minLength: 1,
        maxLength: 12,
      },
    );
    await fc.assert(
      fc.asyncProperty(graphs, async (graph) => {
        const inputsOf = (i: number): number[] =>
          i === 0 ? [] : [...new Set((graph[i]?.inputs ?? []).map((input) => input % i))];
        const plan = planOf(
          Object.fromEntries(
            graph.map((_, i) => [
              `n${i}`,
              {
                waits: inputsOf(i)
                  .map((input) => `n${input}`)
                  .join(" "),
              },
            ]),
          ),
        );
        const { events } = await run(plan, (name) =>
          graph[Number(name.slice(1))]?.fails === true ? "failed" : made(name),
        );
        for (const [i] of graph.entries()) {
          const begun = events.indexOf(`+n${i}`);
          const ends = events.filter(
            (event) => event.slice(1) === `n${i}` && !event.startsWith("+"),
          );
          assert.equal(ends.length, 1);
          const isSkipped = ends[0]?.startsWith("~") === true;
          assert.equal(begun === -1, isSkipped);
          const inputs = inputsOf(i).map((input) => events.indexOf(`-n${input}`));
          assert.equal(inputs.includes(-1), isSkipped);
          if (!isSkipped) assert.ok(inputs.every((ended) => ended < begun));
        }
      }),
      { numRuns: 200 },
    );
  });
});

test("others get their turn while very many derivations begin", async () => {
  const names = Array.from({ length: 300 }, (_, index) => `d${index}`);
  const plan = planOf(Object.fromEntries(names.map((name) => [name, {}])));
  // Not the time between two turns: of that others on the machine take a part, too.
  let most = 0;
  let begun = 0;
  const turn = (): void => {
    most = Math.max(most, begun);
    begun = 0;
  };
  const timer = setInterval(turn, 1);
  const { events } = await run(plan, (name) => {
    begun++;
    for (const end = performance.now() + 1; performance.now() < end;);
    return made(name);
  });
  turn();
  clearInterval(timer);
  assert.equal(events.filter((event) => event.startsWith("-")).length, names.length);
  assert.ok(most < names.length / 2, `others waited while ${most} began`);
});
