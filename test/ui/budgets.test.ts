// What the page may weigh, and how well its colours can be told apart: computed from its files, without a browser.
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const pages = join(root, "dist/ui");

/** Bytes of a file of the page as browsers get it. */
function packed(name: string): number {
  return readFileSync(join(pages, "static", `${name}.gz`)).length;
}

describe("the page's files", () => {
  const shell = readFileSync(join(pages, "index.html"), "utf8");
  const loaded = [...shell.matchAll(/(?:src|href)="\/static\/([^"]+\.(js|css))"/g)];

  for (const [kind, most] of [
    ["js", 45_000],
    ["css", 7_000],
  ] as const) {
    test(`take at most ${most / 1000} kB of ${kind} to begin with`, () => {
      const names = loaded.filter(([, , ending]) => ending === kind).map(([, name = ""]) => name);
      assert.ok(names.length > 0);
      const size = names.reduce((sum, name) => sum + packed(name), 0);
      assert.ok(size <= most, `${names.join(" ")}: ${size} bytes packed`);
    });
  }

  test("have two fonts of their own, and nothing from elsewhere", () => {
    const fonts = globSync("static/*.woff2", { cwd: pages }).map((file) => basename(file));
    assert.equal(fonts.length, 2, fonts.join(" "));
    const size = fonts.reduce(
      (sum, name) => sum + readFileSync(join(pages, "static", name)).length,
      0,
    );
    assert.ok(size <= 100_000, `${size} bytes`);
    assert.doesNotMatch(shell, /https?:\/\//);
  });
});

type Scheme = Readonly<Record<string, string>>;

const style = readFileSync(join(root, "ui/styles/base.css"), "utf8");
const [light, dark] = [...style.matchAll(/:root \{([^}]*)\}/g)].map(([, body = ""]): Scheme =>
  Object.fromEntries(
    [...body.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name = "", color = ""]) => [
      name,
      color,
    ]),
  ),
);

/** How far two colours are apart, by WCAG 2. */
function contrast(a: string, b: string): number {
  const luminance = (color: string): number => {
    const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
      const part = parseInt(color.slice(at, at + 2), 16) / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const [dim = 0, bright = 0] = [luminance(a), luminance(b)].toSorted((x, y) => x - y);
  return (bright + 0.05) / (dim + 0.05);
}

const states = ["running", "built", "reused", "failed", "error"];

for (const [name, scheme = {}] of [
  ["light", light],
  ["dark", dark],
] as const) {
  describe(`the ${name} colours`, () => {
    const apart = (least: number, front: string, backs: readonly string[]): void => {
      for (const back of backs) {
        const [a, b] = [scheme[front], scheme[back]];
        assert.ok(a !== undefined && b !== undefined, `${front} on ${back}`);
        const found = contrast(a, b);
        assert.ok(found >= least, `${front} on ${back}: ${found.toFixed(2)}, wanted ${least}`);
      }
    };
    const grounds = ["bg", "surface", "raised"];
    test("let text be read on every ground, and the word of a state on its own tint", () => {
      for (const text of ["text", "muted", "link", ...states]) apart(5.1, text, grounds);
      for (const state of states) apart(5.1, state, [`tint-${state}`]);
      apart(4.5, "ember", grounds);
      apart(7, "text", ["hit", "log-bg"]);
    });
    test("let controls and the fills of bars be seen", () => {
      apart(3, "control", grounds);
      for (const fill of ["link", ...states]) apart(3.1, `fill-${fill}`, ["bg", "surface"]);
    });
  });
}

test("colours far apart and colours alike are told so", () => {
  assert.equal(contrast("#000000", "#ffffff"), 21);
  assert.equal(contrast("#123456", "#123456"), 1);
});
