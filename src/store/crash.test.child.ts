/**
 * A process that uses a store and kills itself at a given step. Run as `node crash.test.child.ts FOLDER STEP`; prints what was acknowledged.
 */
import fs from "node:fs";
import { join } from "node:path";
import { defaultStoreDirectory, type StorePath } from "../format/store-path.ts";
import { dieAtStep } from "./crash-steps.test.support.ts";
import {
  flatSample,
  sample,
  textSample,
  importInto,
  streamOf,
  type Sample,
} from "./store.test.support.ts";

/** One line of output. */
export interface Acknowledged {
  readonly added?: readonly StorePath[];
  readonly removed?: readonly StorePath[];
  /** About to be removed. */
  readonly removing?: readonly StorePath[];
}

const directory = defaultStoreDirectory;
const file = sample(directory, "file", "a file");
const tree = sample(
  directory,
  "tree",
  { entries: { bin: { entries: { tool: { executable: "#!" } } }, link: { target: "bin" } } },
  [file.storePath],
);
const text = textSample(directory, "text.drv", "a text", [tree.storePath]);
const output = sample(directory, "output", { entries: { data: "built" } }, [text.storePath]);
const claimed = sample(directory, "claimed", { entries: { data: "claimed" } });
const foreign = sample(directory, "foreign", "of somebody else");

export const objects: Readonly<
  Record<"file" | "tree" | "text" | "output" | "claimed" | "foreign", Sample>
> & { stream: readonly Sample[] } = {
  file,
  tree,
  text,
  output,
  claimed,
  foreign,
  stream: [file, tree, text],
};

if (process.argv[1]?.endsWith("crash.test.child.ts") === true) await main();

async function main(): Promise<void> {
  const [, , folder = "", last = ""] = process.argv;
  dieAtStep(Number(last));
  const { Store } = await import("./store.ts");
  const store = await Store.open({
    directory,
    realDirectory: join(folder, "store"),
    database: join(folder, "db.sqlite"),
  });
  const added = (...samples: Sample[]): void =>
    say({ added: samples.map(({ storePath }) => storePath) });

  await importInto(store, streamOf(file));
  added(file);
  await importInto(store, streamOf(tree, file, text));
  added(tree, text);

  const built = join(store.temporaryDirectory, "built");
  fs.mkdirSync(built);
  fs.writeFileSync(join(built, "data"), "built");
  await store.publish(built, output);
  added(output);

  // Somebody alters an object; importing it repairs it.
  fs.chmodSync(store.realPath(file.storePath), 0o644);
  fs.chmodSync(store.realPath(file.storePath), 0o444);
  await importInto(store, streamOf(file));

  say({ removing: [output.storePath, text.storePath] });
  await store.remove([text.storePath], { recursive: true });
  say({ removed: [output.storePath, text.storePath] });

  {
    await using _claim = await store.claim([claimed.storePath]);
    fs.mkdirSync(store.realPath(claimed.storePath));
    fs.writeFileSync(join(store.realPath(claimed.storePath), "data"), "claimed");
    await store.publish(store.realPath(claimed.storePath), claimed);
    added(claimed);
  }
  await importInto(store, streamOf(text));
  added(text);
  // What is made under names that foretell it: first in vain.
  const wide = ["out", "dev"].map((name) => ({
    name,
    temporary: sample(directory, `wide-${name}`, `where ${name} is made`).storePath,
    object: sample(directory, `wide-${name}`, { entries: { data: name } }),
  }));
  const madeAt = wide.map(({ temporary }) => temporary);
  using _expected = store.expect(madeAt);
  for (const isInVain of [true, false]) {
    await using _claim = isInVain ? await store.claim(madeAt) : undefined;
    if (isInVain) for (const path of madeAt) fs.writeFileSync(store.realPath(path), "half");
    store.announce(madeAt);
    const list = wide.map(({ name, object }) => {
      const tree = join(store.temporaryDirectory, `wide-${name}`);
      fs.mkdirSync(tree);
      fs.writeFileSync(join(tree, "data"), name);
      return { tree, info: object };
    });
    const alongside = (): void => {
      if (isInVain) throw new Error("in vain");
    };
    const done = store.publishAll(list, { madeAt, alongside });
    if (isInVain) await done.catch(() => undefined);
    else await done;
  }
  added(...wide.map(({ object }) => object));

  // Small files of which one goes to disk to be hashed.
  const sha1 = flatSample(directory, "sha1", "sha1 contents", "sha1");
  await importInto(store, streamOf(sample(directory, "fresh", "fresh"), sha1));
  added(sha1);
  await store.close();
}

function say(line: Acknowledged): void {
  fs.writeSync(1, `${JSON.stringify(line)}\n`);
}
