/** What must be in a store, and what must not, as far as a client can know that counts only what it was told. */
import type { StorePath } from "../../src/format/store-path.ts";

/** Removed objects that are remembered, so that they can be sent again and looked for. */
const mostGone = 200;

export class Oracle {
  /** What each object refers to that was ever sent or made. */
  readonly references = new Map<StorePath, readonly StorePath[]>();
  /** Acknowledged, and nobody has asked for its end since. */
  readonly sure = new Set<StorePath>();
  /** Said to be removed, and not sent again since. */
  readonly gone = new Set<StorePath>();
  /** Roots that were acknowledged, by name. */
  readonly roots = new Map<string, StorePath>();
  /** What is a root, was one, or is about to be one: others may be about to refer to it. */
  readonly everRoots = new Set<StorePath>();
  /** When each object was last to be removed. */
  readonly #doubted = new Map<StorePath, number>();
  /** How many clients are sending each object. */
  readonly #sending = new Map<StorePath, number>();
  /** What happened to each object, to be told when one is lost. */
  readonly #history = new Map<StorePath, string[]>();
  #now = 0;
  #collected = 0;

  /** To be called at the beginning of something: what it finds out later counts only as far as nothing else came between. */
  begin(): number {
    return ++this.#now;
  }

  /** It is being sent: from now on it may be there. */
  coming(path: StorePath, references: readonly StorePath[]): void {
    this.references.set(path, references);
    this.#sending.set(path, (this.#sending.get(path) ?? 0) + 1);
    this.gone.delete(path);
    this.#note(path, "sent");
  }

  /** It was sent, whatever came of it. */
  sent(path: StorePath): void {
    this.#sending.set(path, (this.#sending.get(path) ?? 1) - 1);
  }

  /** What was sent since `began` was acknowledged. Its sender is still connected, so no collection takes it. */
  came(path: StorePath, began: number): void {
    if ((this.#doubted.get(path) ?? 0) < began) this.sure.add(path);
    this.#note(path, `acknowledged (begun at ${began})`);
  }

  /** What was made since `began` was acknowledged; nobody holds it. */
  made(path: StorePath, began: number): void {
    if (!this.references.has(path)) this.references.set(path, []);
    if (this.#collected < began) this.came(path, began);
  }

  /** Something that nothing refers to but what goes with it, and that is no root. */
  removable(): StorePath[] {
    const kept = this.#kept();
    return [...this.sure].filter((path) => {
      if (this.everRoots.has(path)) return false;
      return [...this.referrers(path)].every((one) => this.sure.has(one) && !kept.has(one));
    });
  }

  /** What refers to the object, with itself. */
  referrers(path: StorePath): Set<StorePath> {
    const found = new Set([path]);
    for (const one of found) {
      for (const [referrer, references] of this.references) {
        if (references.includes(one)) found.add(referrer);
      }
    }
    return found;
  }

  /** These may go from now on. */
  removing(paths: Iterable<StorePath>): void {
    for (const path of paths) {
      this.sure.delete(path);
      this.#doubted.set(path, ++this.#now);
      this.#note(path, "about to be removed");
    }
  }

  /** All that no root keeps may go. */
  collecting(): void {
    this.#release();
    this.#collected = ++this.#now;
  }

  /** It was acknowledged as a root. */
  rooted(name: string, path: StorePath): void {
    this.#note(path, `root ${name}`);
    if (this.sure.has(path)) this.roots.set(name, path);
  }

  /** What only this root keeps may go: a collection may be about to begin. */
  unroot(name: string): void {
    const path = this.roots.get(name);
    if (path !== undefined) this.#note(path, `no root ${name} any more`);
    this.roots.delete(name);
    this.#release();
  }

  #release(): void {
    const kept = this.#kept();
    for (const path of this.sure) {
      if (kept.has(path)) continue;
      this.sure.delete(path);
      this.#note(path, "may be collected");
    }
  }

  /** What began at `began` said that it has removed these. */
  went(paths: Iterable<StorePath>, began: number): void {
    for (const path of paths) {
      this.sure.delete(path);
      this.#note(path, `gone (begun at ${began})`);
      if ((this.#sending.get(path) ?? 0) === 0) this.gone.add(path);
    }
  }

  /** Compares with what is there after a restart, and takes that for what is known from now on. */
  compare(there: ReadonlySet<string>, roots: ReadonlyMap<string, StorePath>): string[] {
    const faults: string[] = [];
    for (const path of this.sure) if (!there.has(path)) faults.push(this.#story("lost", path));
    for (const path of this.gone) if (there.has(path)) faults.push(this.#story("back again", path));
    for (const name of this.roots.keys()) if (!roots.has(name)) faults.push(`lost: root ${name}`);
    this.#sending.clear();
    this.roots.clear();
    // An object that is deleted by name leaves its root behind, which keeps nothing then.
    for (const [name, path] of roots) if (there.has(path)) this.roots.set(name, path);
    this.sure.clear();
    for (const path of [...this.gone].slice(0, -mostGone)) {
      this.gone.delete(path);
      this.references.delete(path);
      this.#history.delete(path);
    }
    for (const path of this.references.keys()) {
      this.#note(path, there.has(path) ? "killed: there" : "killed: not there");
      if (there.has(path)) this.sure.add(path);
      else if (!this.gone.has(path)) {
        this.references.delete(path);
        this.#history.delete(path);
      }
    }
    return faults;
  }

  #note(path: StorePath, what: string): void {
    const notes = this.#history.get(path) ?? [];
    this.#history.set(path, notes);
    notes.push(`${++this.#now}: ${what}`);
  }

  #story(what: string, path: StorePath): string {
    const near = new Set([path, ...(this.references.get(path) ?? []), ...this.referrers(path)]);
    const names = [...this.roots].filter(([, target]) => target === path).map(([name]) => name);
    const lines = [...near].map((one) => `  ${one}: ${this.#history.get(one)?.join(", ")}`);
    return [`${what}: ${path} (${names.join(", ") || "no root"})`, ...lines].join("\n");
  }

  #kept(): Set<StorePath> {
    const kept = new Set(this.roots.values());
    for (const path of kept) for (const one of this.references.get(path) ?? []) kept.add(one);
    return kept;
  }
}
