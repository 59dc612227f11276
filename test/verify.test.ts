// `kiln store verify`: it finds whatever was done to an object, and mends what can be made again.
import assert from "node:assert/strict";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { basename } from "node:path/posix";
import { hostFolders, Place } from "./support/cli.ts";

const project = `import { derivation } from "kiln-store";
const shell = { builder: "/bin/sh", systemDeps: ${JSON.stringify(hostFolders)} };
const run = (name, script, env) =>
  derivation({ ...shell, name, args: ["-c", script], env: { PATH: "/bin:/usr/bin", ...env } });
const tree = (name) => run(name, \`mkdir -p $out/sub && echo \${name} > $out/sub/file && ln -s file $out/sub/link && echo x > $out/tool && chmod +x $out/tool\`, {});
export const base = tree("base");
export default run("top", "mkdir $out; cat $base/sub/file > $out/text; ln -s $base $out/base", { base });
`;

interface Finding {
  readonly checked: number;
  readonly bytes: number;
  readonly damaged: {
    path: string;
    kind: string;
    message: string;
    repair: string | null;
    failure?: string;
  }[];
  readonly foreign: string[];
}

/** A built store, and the places of its two objects. */
async function built(place: Place, serve: boolean): Promise<{ base: string; top: string }> {
  place.write("kiln.build.ts", project);
  if (serve) await place.serve([`--sandbox-path=${hostFolders.join(" ")}`]);
  const ended = await place.run([
    "build",
    ".#base",
    ".#default",
    ...(serve ? [] : ["--sandbox=false"]),
  ]);
  assert.equal(ended.code, 0, ended.stderr);
  const [base = "", top = ""] = ended.stdout.toString().trim().split("\n");
  return { base, top };
}

async function verify(
  place: Place,
  ...flags: string[]
): Promise<Finding & { code: number | null }> {
  const ended = await place.run(["store", "verify", "--json", ...flags]);
  return { ...(JSON.parse(ended.stdout.toString()) as Finding), code: ended.code };
}

/** Lets a change be made in a read-only tree, and makes it read-only again. */
function within(folder: string, change: () => void): void {
  chmodSync(folder, 0o755);
  change();
  chmodSync(folder, 0o555);
  utimesSync(folder, 0, 0);
}

const damages: Record<
  string,
  { kind: string; do: (object: string) => void; needsContents?: boolean }
> = {
  "a flipped bit": {
    kind: "contents",
    do: (object) => {
      const file = join(object, "sub/file");
      chmodSync(file, 0o644);
      const handle = openSync(file, "r+");
      writeSync(handle, Buffer.from([(readFileSync(file)[0] ?? 0) ^ 1]), 0, 1, 0);
      closeSync(handle);
      chmodSync(file, 0o444);
      utimesSync(file, 0, 0);
    },
  },
  "a missing file": {
    kind: "contents",
    do: (object) => within(join(object, "sub"), () => rmSync(join(object, "sub/file"))),
  },
  "an extra file": {
    kind: "contents",
    do: (object) => within(object, () => writeFileSync(join(object, "more"), "", { mode: 0o444 })),
  },
  "an extra folder": {
    kind: "contents",
    do: (object) => within(object, () => mkdirSync(join(object, "more"))),
  },
  "a file that became executable": {
    kind: "contents",
    do: (object) => chmodSync(join(object, "sub/file"), 0o555),
  },
  "a wrong link": {
    kind: "contents",
    do: (object) =>
      within(join(object, "sub"), () => {
        rmSync(join(object, "sub/link"));
        symlinkSync("tool", join(object, "sub/link"));
        lutimesSync(join(object, "sub/link"), 0, 0);
      }),
  },
  "a longer file": {
    kind: "contents",
    do: (object) => {
      chmodSync(join(object, "tool"), 0o755);
      appendFileSync(join(object, "tool"), "more");
      chmodSync(join(object, "tool"), 0o555);
    },
  },
  "a mode that lets the owner write": {
    kind: "metadata",
    do: (object) => chmodSync(join(object, "sub/file"), 0o644),
  },
  "a folder that can be written to": {
    kind: "metadata",
    do: (object) => chmodSync(join(object, "sub"), 0o755),
  },
  "another time": { kind: "metadata", do: (object) => utimesSync(join(object, "tool"), 5, 5) },
  "a missing object": {
    kind: "missing",
    do: (object) => {
      for (const folder of [object, join(object, "sub")]) chmodSync(folder, 0o755);
      rmSync(object, { recursive: true });
    },
  },
};

describe("kiln store verify", () => {
  test("finds and mends whatever was done, and what was found and cannot be reused is built again", async () => {
    await using place = new Place();
    const { base, top } = await built(place, true);
    const clean = await verify(place, "--contents");
    assert.deepEqual([clean.code, clean.damaged, clean.foreign], [0, [], []]);
    assert.ok(clean.bytes > 500);
    assert.equal((await verify(place)).bytes, 0, "what was not changed is not read");
    for (const [name, { kind, do: damage }] of Object.entries(damages)) {
      const object = join(place.store, basename(base));
      damage(object);
      const found = await verify(place);
      assert.equal(found.code, 1, name);
      assert.deepEqual(
        found.damaged.map((one) => [one.path, one.kind, one.repair]),
        [[base, kind, null]],
        name,
      );
      const mended = await verify(place, "--repair");
      assert.equal(mended.code, 0, `${name}: ${JSON.stringify(mended)}`);
      assert.deepEqual(
        mended.damaged.map((one) => one.repair),
        ["repaired"],
        name,
      );
      assert.equal(readFileSync(join(object, "sub/file"), "utf8"), "base\n", name);
      assert.deepEqual((await verify(place, "--contents")).damaged, [], name);
    }
    const kept = readdirSync(join(place.store, ".kiln/quarantine"));
    const moved = Object.values(damages).filter(({ kind }) => kind === "contents").length;
    assert.equal(kept.length, moved, "what was damaged is kept to be looked at");
    assert.equal((await place.run(["build", ".#default"])).stdout.toString().trim(), top);
  });

  test("finds bytes that changed without a trace when every byte is read", async (t) => {
    await using place = new Place();
    const { base } = await built(place, false);
    const file = join(place.store, basename(base), "sub/file");
    damages["a flipped bit"]?.do(join(place.store, basename(base)));
    // The clock of the file's last change cannot be set back: instead, the store is told that all was right just now.
    const { DatabaseSync } = await import("node:sqlite");
    const database = new DatabaseSync(join(place.directory, "var/kiln/db.sqlite"));
    t.after(() => (database.isOpen ? database.close() : undefined));
    database.prepare("update objects set verified_at = ?").run(Date.now() + 10_000);
    database.close();
    assert.equal(statSync(file).mtimeMs, 0);
    assert.equal((await verify(place)).code, 0);
    assert.deepEqual(
      (await verify(place, "--contents")).damaged.map(({ kind }) => kind),
      ["contents"],
    );
  });

  test("mends several objects that need each other, and says what nothing makes again", async () => {
    await using place = new Place();
    const { base, top } = await built(place, true);
    const source = place.write("text", "source");
    const imported = await place.run(["store", "list", "--paths"]);
    const sources = imported.stdout
      .toString()
      .split("\n")
      .filter((path) => path.endsWith(".drv"));
    assert.ok(sources.length > 0 && source !== "");
    damages["a flipped bit"]?.do(join(place.store, basename(base)));
    const text = join(place.store, basename(top), "text");
    chmodSync(text, 0o644);
    writeFileSync(text, "changed");
    const plan = join(place.store, basename(sources[0] ?? ""));
    chmodSync(plan, 0o644);
    appendFileSync(plan, " ");
    writeFileSync(join(place.store, "not-an-object"), "");
    const mended = await verify(place, "--repair");
    assert.equal(mended.code, 1);
    assert.deepEqual(mended.foreign, ["not-an-object"]);
    const bad = mended.damaged.filter(({ repair }) => repair !== "repaired");
    assert.deepEqual(
      bad.map(({ path, repair }) => [path, repair]),
      [[sources[0], "quarantined"]],
    );
    assert.match(bad[0]?.failure ?? "", /no derivation/);
    // Evaluating sends the derivation again, which repairs it.
    assert.equal((await place.run(["build", ".#default"])).code, 0);
    assert.deepEqual((await verify(place)).damaged, []);
    const told = await place.run(["store", "verify"]);
    assert.match(told.stderr, /left alone: not-an-object/);
    assert.match(told.stderr, /all right/);
  });

  test("looks only at what it is asked for, and at what was not read for a time", async () => {
    await using place = new Place();
    const { base } = await built(place, false);
    assert.equal((await verify(place, base)).checked, 1);
    assert.equal((await verify(place, "--contents", "--before", "1h")).checked, 0);
    const all = await verify(
      place,
      "--contents",
      "--before",
      new Date(Date.now() + 60_000).toISOString(),
    );
    assert.ok(all.checked >= 4);
    const absent = await place.run(["store", "verify", base.replace("base", "nase")]);
    assert.equal(absent.code, 1);
    assert.match(absent.stderr, /is not in the store/);
  });
});
