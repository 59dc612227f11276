/**
 * Uses a store whose every system call is recorded. Run as `node child.ts FOLDER`; prints a line for each acknowledgement.
 */
import fs from "node:fs";
import { join } from "node:path";
import { defaultStoreDirectory, type StorePath } from "../../../src/format/store-path.ts";
import { Store } from "../../../src/store/store.ts";
import {
  importInto,
  sample,
  streamOf,
  textSample,
  type Sample,
} from "../../../src/store/store.test.support.ts";

/** One line of output. */
export interface Acknowledgement {
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
const large = sample(directory, "large", Buffer.alloc(300_000, "large "));
const text = textSample(directory, "text.drv", "a text", [tree.storePath]);
const output = sample(directory, "output", { entries: { data: "built" } }, [text.storePath]);
const other = sample(directory, "other", { entries: { data: "other" } }, [output.storePath]);
const claimed = sample(directory, "claimed", { entries: { data: "claimed" } });
/** What builders make under other names, of which the first one is expected. */
const made = ["one", "two"].map((name) => ({
  name,
  temporary: sample(directory, `temporary-${name}`, name).storePath,
  object: sample(directory, `built-${name}`, { entries: { data: name } }),
}));
/** What builders make under names that foretell what it becomes. */
const foretold = ["three", "four", "five"].map((name) => ({
  name,
  temporary: sample(directory, `foretold-${name}`, name).storePath,
  object: sample(directory, `foretold-${name}`, { entries: { data: name } }),
}));
/** So many that they share one sync of the file system. */
const many = Array.from({ length: 40 }, (_, i) => sample(directory, `one-${i}`, `of many: ${i}`));

/** All that is ever sent, in an order in which it can be sent again. */
export const everything: readonly Sample[] = [file, tree, large, text, ...many];

if (process.argv[1]?.endsWith("power/child.ts") === true) await main(process.argv[2] ?? "");

async function main(folder: string): Promise<void> {
  const store = await Store.open({
    directory,
    realDirectory: join(folder, "store"),
    database: join(folder, "var", "db.sqlite"),
  });
  const take = async (...samples: Sample[]): Promise<void> => {
    const reports = await importInto(store, streamOf(...samples));
    const refused = reports.find(({ status }) => status === "rejected");
    if (refused !== undefined) throw new Error(JSON.stringify(refused));
    added(...samples);
  };
  await take(file);
  await take(tree, large);
  await take(...many);
  await take(text);
  for (const { name, data, object } of [
    { name: "built", data: "built", object: output },
    { name: "more", data: "other", object: other },
  ]) {
    const built = join(store.temporaryDirectory, name);
    fs.mkdirSync(built);
    fs.writeFileSync(join(built, "data"), data);
    await store.publish(built, object);
    added(object);
  }
  {
    await using _claim = await store.claim([claimed.storePath]);
    fs.mkdirSync(store.realPath(claimed.storePath));
    fs.writeFileSync(join(store.realPath(claimed.storePath), "data"), "claimed");
    await store.publish(store.realPath(claimed.storePath), claimed);
    added(claimed);
  }
  {
    using _expected = store.expect(made.slice(0, 1).map(({ temporary }) => temporary));
    for (const { name, temporary, object } of made) {
      const tree = join(store.temporaryDirectory, name);
      {
        await using _claim = await store.claim([temporary]);
        fs.mkdirSync(store.realPath(temporary));
        fs.writeFileSync(join(store.realPath(temporary), "data"), name);
        fs.renameSync(store.realPath(temporary), tree);
      }
      await store.publish(tree, object);
      added(object);
    }
  }
  {
    using _expected = store.expect(foretold.map(({ temporary }) => temporary));
    for (const [index, { name, temporary, object }] of foretold.entries()) {
      const tree = join(store.temporaryDirectory, name);
      {
        // Without a claim, a builder makes it somewhere else.
        await using _claim = index % 2 === 0 ? await store.claim([temporary]) : undefined;
        store.announce([temporary]);
        const place = index % 2 === 0 ? store.realPath(temporary) : join(folder, "elsewhere");
        fs.mkdirSync(place);
        fs.writeFileSync(join(place, "data"), name);
        fs.renameSync(place, tree);
      }
      await store.publishAll([{ tree, info: object }], { madeAt: [temporary] });
      added(object);
    }
  }
  const doomed = [text, output, other].map(({ storePath }) => storePath);
  say({ removing: doomed });
  await store.remove([text.storePath], { recursive: true });
  say({ removed: doomed });
  await take(text);
  await store.close();
}

function added(...samples: Sample[]): void {
  say({ added: samples.map(({ storePath }) => storePath) });
}

function say(line: Acknowledgement): void {
  fs.writeSync(1, `${JSON.stringify(line)}\n`);
}
