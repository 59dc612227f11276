// Garbage collection beside imports, builds, roots and deletions, in a random order, against a model that knows what must stay.
// KILN_SEED=N repeats a run; KILN_STEPS=N makes it longer.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseStoreDirectory, type StorePath } from "../src/format/store-path.ts";
import { removeTree } from "../src/files/remove-tree.ts";
import { Store } from "../src/store/store.ts";
import { hasCode } from "../src/util/kiln-error.ts";
import {
  importInto,
  becomesPast,
  sample,
  streamOf,
  type Sample,
} from "../src/store/store.test.support.ts";
import { randomFrom } from "./support/random.ts";

const steps = Number(process.env["KILN_STEPS"] ?? 12_000);
const seed = Number(process.env["KILN_SEED"] ?? Date.now() % 2 ** 31);

/** Something that runs and needs objects: what it was given, and what it has made so far. */
interface Build {
  readonly kept: DisposableStack;
  readonly needs: Set<StorePath>;
}

class Model {
  readonly folder: string = mkdtempSync(join(tmpdir(), "kiln-gc-"));
  readonly directory = parseStoreDirectory("/opt/zb/store");
  readonly random: () => number;
  /** All that ever was, by path. */
  readonly objects = new Map<StorePath, Sample>();
  /** What is in the store, as far as the model knows: a collection may have removed what nothing needs. */
  readonly known: StorePath[] = [];
  readonly roots = new Map<string, StorePath>();
  readonly builds: Build[] = [];
  readonly counts: Record<string, number> = {};
  #names = 0;
  store!: Store;

  constructor(random: () => number) {
    this.random = random;
  }

  async open(): Promise<void> {
    this.store = await Store.open({
      directory: this.directory,
      realDirectory: join(this.folder, "store"),
      database: join(this.folder, "db"),
      durability: "process",
    });
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  pick<T>(list: readonly T[]): T | undefined {
    return list[Math.floor(this.random() * list.length)];
  }

  /** Some objects that are there now. */
  present(most: number): StorePath[] {
    const wanted = Array.from({ length: Math.floor(this.random() * (most + 1)) }, () =>
      this.pick(this.known),
    );
    return [...new Set(wanted)].filter(
      (path): path is StorePath => path !== undefined && this.store.has(path),
    );
  }

  fresh(references: readonly StorePath[]): Sample {
    const object = sample(this.directory, `o${this.#names++}`, `${this.random()}`, references);
    this.objects.set(object.storePath, object);
    return object;
  }

  /** Everything that must be there: what roots and builds need, with what that refers to. */
  needed(): Set<StorePath> {
    const needed = new Set<StorePath>(this.roots.values());
    for (const { needs } of this.builds) for (const path of needs) needed.add(path);
    for (const path of needed) {
      for (const reference of this.objects.get(path)?.references ?? []) needed.add(reference);
    }
    return needed;
  }

  check(): void {
    for (const path of this.needed()) {
      assert.ok(this.store.isPresent(path), `${path} is needed and gone (KILN_SEED=${seed})`);
    }
  }

  async importSome(): Promise<void> {
    const first = this.fresh(this.present(3));
    const second = this.fresh([first.storePath, ...this.present(2)].slice(0, 3));
    const reports = await importInto(this.store, streamOf(first, second));
    for (const { storePath, status } of reports) {
      // What it refers to may have been collected before the stream was read: then it is refused, whole.
      if (status === "imported") this.known.push(storePath as StorePath);
      this.count(status);
    }
  }

  begin(): void {
    const inputs = this.present(4);
    const kept = new DisposableStack();
    kept.use(this.store.session());
    kept.use(this.store.protect(inputs));
    this.builds.push({ kept, needs: new Set(inputs) });
    this.count("build");
  }

  /** A build makes an output that refers to some of what it needs. */
  async make(build: Build): Promise<void> {
    const inputs = [...build.needs].filter(() => this.random() < 0.5);
    const object = this.fresh(inputs);
    const tree = join(this.store.temporaryDirectory, `made-${object.storePath.slice(-20)}`);
    writeFileSync(tree, contentsOf(object));
    await this.store.publish(tree, object);
    this.known.push(object.storePath);
    if (!this.builds.includes(build)) return;
    build.kept.use(this.store.protect([object.storePath]));
    build.needs.add(object.storePath);
    this.count("output");
  }

  end(build: Build): void {
    this.builds.splice(this.builds.indexOf(build), 1);
    build.kept.dispose();
  }

  endAll(): void {
    while (this.builds[0] !== undefined) this.end(this.builds[0]);
  }

  async root(target: StorePath): Promise<void> {
    if (this.random() < 0.5) {
      const name = `r${Math.floor(this.random() * 30)}`;
      await this.store.addRoot({ name, target });
      this.roots.set(name, target);
      return;
    }
    const name = join(this.folder, `link${Math.floor(this.random() * 30)}`);
    rmSync(name, { force: true });
    this.roots.delete(name);
    symlinkSync(this.store.realPath(target), name);
    await this.store.addRoot({ name });
    this.roots.set(name, target);
  }

  async unroot(): Promise<void> {
    const name = this.pick([...this.roots.keys()]);
    if (name === undefined) return;
    this.roots.delete(name);
    if (name.startsWith("/")) rmSync(name);
    else await this.store.removeRoot(name);
  }

  async remove(): Promise<void> {
    const path = this.pick(this.known);
    if (path === undefined) return;
    try {
      const gone = await this.store.remove([path], { recursive: this.random() < 0.5 });
      // A deletion by name takes what named roots keep, too: they keep it from collections only.
      for (const one of gone)
        for (const [name, target] of this.roots) {
          if (target === one) this.roots.delete(name);
        }
      for (const { needs } of this.builds) {
        for (const one of gone) assert.ok(!needs.has(one), `a build needs ${one}`);
      }
      this.count("deleted");
    } catch (error) {
      if (
        !["store.missing", "store.hasReferrers", "store.inUse"].some((code) => hasCode(error, code))
      )
        throw error;
      this.count("not deleted");
    }
  }
}

function contentsOf({ nar }: Sample): Buffer {
  // "nix-archive-1" "(" "type" "regular" "contents" precede, each with its length, padded; then the length of the contents.
  const at = 24 + 16 + 16 + 16 + 16;
  const size = Number(nar.readBigUInt64LE(at));
  return nar.subarray(at + 8, at + 8 + size);
}

test(
  `collections take nothing that is needed, in ${steps} random steps`,
  { timeout: 280_000 },
  async (t) => {
    const model = new Model(randomFrom(seed));
    await model.open();
    const { random } = model;
    const running: Promise<unknown>[] = [];
    let collected = 0;
    try {
      for (let step = 0; step < steps; step++) {
        const what = random();
        const build = model.pick(model.builds);
        if (what < 0.12) running.push(model.importSome());
        else if (what < 0.2) model.begin();
        else if (what < 0.36 && build !== undefined) await model.make(build);
        else if (what < 0.44 && build !== undefined) model.end(build);
        else if (what < 0.55) {
          const [target] = model.present(1);
          if (target !== undefined) await model.root(target);
        } else if (what < 0.68) await model.unroot();
        else if (what < 0.74) await model.remove();
        else if (what < 0.8) {
          const collection = model.store.collect({
            olderThan: 0,
            maxSize: random() < 0.3 ? 20_000 : undefined,
          });
          running.push(collection.then(({ count }) => void (collected += count)));
        } else if (what < 0.81) {
          await Promise.all(running.splice(0));
          await becomesPast();
          const sure = model.needed();
          collected += (await model.store.collect({ olderThan: 0 })).count;
          // With nothing else going on, exactly what is needed is left (and what builds have looked at since they began).
          if (model.builds.length === 0) {
            assert.deepEqual([...model.store.list()].toSorted(), [...sure].toSorted());
            model.count("exact");
          }
          for (const path of model.known.splice(0))
            if (model.store.has(path)) model.known.push(path);
        } else if (what < 0.812) {
          model.endAll();
        } else if (what < 0.815) {
          await Promise.all(running.splice(0));
          model.endAll();
          await model.store.close();
          await model.open();
          model.count("reopened");
        } else {
          const path = model.pick(model.known);
          if (path !== undefined) model.store.info(path);
        }
        if (step % 20 === 0) model.check();
        if (running.length > 8) await running.shift();
      }
      await Promise.all(running);
      model.check();
      const told = Object.entries(model.counts).map(([name, count]) => `${count} ${name}`);
      t.diagnostic(`seed ${seed}: ${collected} collected; ${told.join(", ")}`);
      assert.ok(collected > steps / 50, "collections removed much");
      assert.ok((model.counts["exact"] ?? 0) > 0, "what is left was compared");
    } finally {
      model.endAll();
      await Promise.allSettled(running);
      await model.store.close();
      await removeTree(model.folder);
    }
  },
);
