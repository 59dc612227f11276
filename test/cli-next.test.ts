// The commands that messages name can be typed as they stand, also where flags have named the store.
import assert from "node:assert/strict";
import { appendFileSync, chmodSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { Place, shellTargets } from "./support/cli.ts";
import { type Ended, kilnProgram } from "./support/world.ts";

test("commands that messages name reach the store that --store has named", async () => {
  await using place = new Place();
  place.write(
    "kiln.build.ts",
    shellTargets({ default: "echo hi > $out", bad: "echo why; exit 3" }),
  );
  const store = ["--store", join(place.directory, "another store", "store")];
  const env = { ZB_STORE_DIR: undefined };
  const kiln = (...words: string[]): Promise<Ended> => place.run([...words, ...store], { env });
  /** What a shell makes of the command that the text shows. */
  const typed = (text: string, command: RegExp): Promise<Ended> => {
    const [, words = ""] = command.exec(text) ?? assert.fail(`${command} in ${text}`);
    const PATH = `${dirname(kilnProgram)}:${process.env["PATH"]}`;
    return place.run([], { env: { ...env, PATH }, through: ["sh", "-c", words] });
  };

  const failed = await kiln("build", ".#bad");
  assert.equal(failed.code, 1);
  const log = await typed(failed.stderr, /^kiln: log: (kiln log .*)$/m);
  assert.equal(log.stdout.toString(), "why\n*** Build failed: exit status 3\n", log.stderr);
  const again = await typed(failed.stderr, /^kiln: try: (kiln build .*)$/m);
  assert.match(again.stderr, /bad FAILED: builder exited with status 3/);
  assert.match(again.stderr, /the build directory of bad is kept: /);
  const unknown = await kiln("log", "nothing");
  const list = await typed(unknown.stderr, /try\s+(kiln ps .*)$/m);
  assert.equal(list.stdout.toString().match(/ bad\b/g)?.length, 2, list.stderr);

  const built = await kiln("build");
  const path = built.stdout.toString().trim();
  chmodSync(path, 0o644);
  appendFileSync(path, "damage");
  const verified = await kiln("store", "verify", path);
  assert.equal(verified.code, 1);
  const repaired = await typed(verified.stderr, /^kiln: (kiln store verify .*) mends/m);
  assert.equal(repaired.code, 0, repaired.stderr);
});
