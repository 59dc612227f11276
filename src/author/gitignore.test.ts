import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { globSync, mkdirSync, realpathSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { suite, test } from "node:test";
import { temporaryDirectory } from "../util/temp.ts";
import { GitIgnore } from "./gitignore.ts";

const git = spawnSync("git", ["--version"]).status === 0;

const files = [
  ".a",
  "a b",
  "a.log",
  "b.log ",
  "keep.log",
  "#x",
  "!x",
  "build/out.js",
  "build/keep/x",
  "src/build/x",
  "src/a.log",
  "src/deep/er/a.txt",
  "src/deep/b.txt",
  "doc/frotz/x",
  "frotz",
  "a/doc/frotz/x",
  "foo/bar",
  "foo/baz/bar",
  "cache",
  "x/cache/y",
  "star*",
  "star1",
];

/** What is left of `files` when ignored folders are not entered. */
function remaining(root: string): string[] {
  const ignore = new GitIgnore(root);
  return files.filter((file) => {
    const parts = file.split("/");
    return parts.every((_, i) => {
      const isFolder = i < parts.length - 1;
      return !ignore.ignores(join(root, ...parts.slice(0, i + 1)), isFolder);
    });
  });
}

suite(
  "what .gitignore files leave out is what git leaves out",
  { skip: !git && "no git here" },
  () => {
    for (const [what, ignored] of [
      ["names at any depth", { ".gitignore": "*.log\nfrotz\n" }],
      ["names but one", { ".gitignore": "*.log\n!keep.log\n" }],
      ["anchored names", { ".gitignore": "/build\n/foo/bar\n" }],
      ["patterns with a slash in the middle", { ".gitignore": "doc/frotz\nfoo/*\n" }],
      ["folders only", { ".gitignore": "cache/\nbuild/\n" }],
      ["two stars", { ".gitignore": "**/frotz\nsrc/**/a.txt\nfoo/**\n" }],
      ["a folder's contents but a part", { ".gitignore": "build/*\n!build/keep\n" }],
      ["nothing in an ignored folder comes back", { ".gitignore": "build\n!build/keep\n" }],
      ["comments, quotes and blanks", { ".gitignore": "# no\n\\#x\n\\!x\na\\ b\nb.log\\ \n   \n" }],
      ["blanks at the end don't count", { ".gitignore": "a.log   \n" }],
      ["questions, classes and quoted stars", { ".gitignore": "a?log\n[!a-z]x\nstar\\*\n" }],
      [
        "a file below wins over one above",
        { ".gitignore": "*.log\n", "src/.gitignore": "!a.log\n" },
      ],
      ["a file below is about its own folder", { "src/.gitignore": "/deep/*.txt\nbuild\n" }],
      ["lines that are no pattern", { ".gitignore": "[\n/\n!\n*.log\n\r\n" }],
      ["a dot file", { ".gitignore": ".*\n!.gitignore\n" }],
    ] satisfies [string, Record<string, string>][]) {
      test(what, async () => {
        await using folder = await temporaryDirectory(realpathSync(tmpdir()), "kiln-ignore-");
        const write = (name: string, text: string): void => {
          mkdirSync(dirname(join(folder.path, name)), { recursive: true });
          writeFileSync(join(folder.path, name), text);
        };
        for (const file of files) write(file, "");
        for (const [name, text] of Object.entries(ignored)) write(name, text);
        const run = (...args: string[]): string =>
          execFileSync("git", ["-c", "core.excludesFile=", ...args], {
            cwd: folder.path,
            encoding: "utf8",
          });
        run("init", "--quiet");
        const listed = run("ls-files", "-z", "--others", "--exclude-standard").split("\0");
        const expected = files.filter((file) => listed.includes(file));
        assert.deepEqual(remaining(folder.path), expected);
        assert.ok(globSync("**", { cwd: folder.path }).length > 0);
      });
    }
  },
);

test("files above the folder count up to the repository's top, and only in a repository", async () => {
  await using folder = await temporaryDirectory(realpathSync(tmpdir()), "kiln-ignore-");
  const inner = join(folder.path, "repo", "packages", "app");
  mkdirSync(inner, { recursive: true });
  writeFileSync(join(folder.path, ".gitignore"), "a\n");
  writeFileSync(join(folder.path, "repo", ".gitignore"), "b\n");
  const ignored = (): string[] => {
    const ignore = new GitIgnore(inner);
    return ["a", "b", "c"].filter((name) => ignore.ignores(join(inner, name), false));
  };
  assert.deepEqual(ignored(), []);
  mkdirSync(join(folder.path, "repo", ".git"));
  assert.deepEqual(ignored(), ["b"]);
});
