import assert from "node:assert/strict";
import { test } from "node:test";
import { JointWrites } from "./joint-writes.ts";

/** A database of words; what a transaction that fails has written is taken back, as in SQLite. */
class Words {
  written: string[] = [];
  /** How many transactions succeeded that were no part of another. */
  commits = 0;
  /** Ends whole transactions, as a full disk does. */
  poison: string | undefined;
  readonly syncs: PromiseWithResolvers<void>[] = [];
  readonly writes: JointWrites = new JointWrites({
    transact: (fn) => this.#transact(fn),
    isOpen: () => this.#depth > 0,
    sync: () => {
      const sync = Promise.withResolvers<void>();
      this.syncs.push(sync);
      return sync.promise;
    },
  });
  #depth = 0;
  #before: string[] = [];

  put(word: string): Promise<number> {
    return this.writes.add(() => {
      this.written.push(word);
      if (word.startsWith("bad")) throw new Error(word);
      if (word === this.poison) {
        this.#depth = 0;
        this.written = this.#before;
        throw new Error(word);
      }
      return this.written.length;
    });
  }

  #transact(fn: () => void): void {
    const before = [...this.written];
    if (this.#depth === 0) this.#before = before;
    const depth = this.#depth++;
    try {
      fn();
      if (depth === 0) this.commits++;
    } catch (error) {
      if (this.#depth > 0) this.written = before;
      throw error;
    } finally {
      this.#depth = Math.min(this.#depth, depth);
    }
  }
}

test("what is to be written while the disk is busy becomes one transaction with one sync", async () => {
  const words = new Words();
  const first = words.put("one");
  const others = [words.put("two"), words.put("three")];
  assert.deepEqual(words.written, ["one"]);
  assert.equal(words.syncs.length, 1);
  words.syncs[0]?.resolve();
  assert.equal(await first, 1);
  await new Promise(setImmediate);
  assert.deepEqual(words.written, ["one", "two", "three"]);
  assert.deepEqual([words.commits, words.syncs.length], [2, 2]);
  words.syncs[1]?.resolve();
  assert.deepEqual(await Promise.all(others), [2, 3]);
});

/** What becomes of these, which become one round while "one" is being synced. */
async function writtenTogether(words: Words, texts: readonly string[]): Promise<string[]> {
  const first = words.put("one");
  const others = Promise.allSettled(texts.map((text) => words.put(text)));
  words.syncs[0]?.resolve();
  await first;
  await new Promise(setImmediate);
  words.syncs[1]?.resolve();
  return (await others).map(({ status }) => status);
}

test("who fails takes nobody along", async () => {
  const words = new Words();
  const states = await writtenTogether(words, ["two", "bad", "three"]);
  assert.deepEqual(states, ["fulfilled", "rejected", "fulfilled"]);
  assert.deepEqual(words.written, ["one", "two", "three"]);
  assert.equal(words.commits, 2);
});

test("when one ends the transaction of all, each is tried alone", async () => {
  const words = new Words();
  words.poison = "full";
  const states = await writtenTogether(words, ["two", "full", "three"]);
  assert.deepEqual(states, ["fulfilled", "rejected", "fulfilled"]);
  assert.deepEqual(words.written, ["one", "two", "three"]);
});

test("nobody waits for a sync when nothing was written, and who waits hears that the disk failed", async () => {
  const words = new Words();
  await assert.rejects(words.put("bad"), { message: "bad" });
  assert.equal(words.syncs.length, 0);
  const written = words.put("one");
  words.syncs[0]?.reject(new Error("the disk failed"));
  await assert.rejects(written, { message: "the disk failed" });
});
