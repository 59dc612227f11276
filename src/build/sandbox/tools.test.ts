import assert from "node:assert/strict";
import { test } from "node:test";
import { parseMaps } from "./tools.ts";

const line = (flags: string, path: string): string =>
  `5581c000-5581c100 ${flags} 00000000 fe:00 2470    ${path}\n`;

test("a shell's files are those in its memory that hold code", () => {
  const maps =
    line("r--p", "/usr/bin/dash") +
    line("r-xp", "/usr/bin/dash") +
    line("rw-p", "[heap]") +
    line("r--p", "/usr/lib/locale/C.utf8/LC_CTYPE") +
    line("r-xp", "/usr/lib/x86_64-linux-gnu/libc.so.6") +
    line("r-xp", "[vdso]") +
    line("r-xp", "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
  assert.deepEqual(parseMaps("/bin/sh", maps), {
    program: "/usr/bin/dash",
    loader: "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
    libraries: ["/usr/lib/x86_64-linux-gnu/libc.so.6"],
  });
});

test("a static shell has neither loader nor libraries, and musl's loader is its library", () => {
  const alone = { program: "/bin/sh.static", loader: undefined, libraries: [] };
  assert.deepEqual(parseMaps("/bin/sh", line("r-xp", "/bin/sh.static")), alone);
  const maps = line("r-xp", "/bin/dash") + line("r-xp", "/lib/ld-musl-x86_64.so.1");
  assert.deepEqual(parseMaps("/bin/dash", maps), {
    program: "/bin/dash",
    loader: "/lib/ld-musl-x86_64.so.1",
    libraries: [],
  });
});

test("a place with blanks in its name is one place", () => {
  assert.equal(parseMaps("/x", line("r-xp", "/a b/sh")).program, "/a b/sh");
});
