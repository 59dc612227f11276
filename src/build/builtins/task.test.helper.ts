/** For tests of built-in builders: tasks as the scheduler would make them, over a folder of the test's own. */
import { mkdir, readdir, readFile, readlink, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesToString } from "../../util/byte-string.ts";
import { temporaryDirectory } from "../../util/temp.ts";
import type { DerivationOutput } from "../../format/derivation/derivation.ts";
import {
  defaultStoreDirectory,
  objectNameOf,
  type StorePath,
  storePathFor,
} from "../../format/store-path.ts";
import type { BuildTask } from "../executor.ts";

export interface TestTask extends BuildTask {
  /** What the builder logged so far. */
  logged(): string;
  readonly phases: Parameters<BuildTask["progress"]>[];
  /** Where `out` must be left. */
  readonly output: string;
}

const floating: DerivationOutput = { type: "floating", method: "recursive", hashType: "sha256" };

/** A small store with room for one build at a time. */
export interface TestStore extends AsyncDisposable {
  readonly root: string;
  /** Puts a file into the store as an object and returns its store path. */
  addFile(name: string, contents: Uint8Array): Promise<StorePath>;
  /** The folder of a new object. */
  addDirectory(name: string): Promise<{ path: StorePath; real: string }>;
  task(
    builder: string,
    env: Record<string, string>,
    options?: { output?: DerivationOutput; inputs?: readonly StorePath[] },
  ): Promise<TestTask>;
}

export async function testStore(): Promise<TestStore> {
  const folder = await temporaryDirectory(tmpdir(), "kiln-builtin-");
  const root = folder.path;
  const objects: StorePath[] = [];
  let builds = 0;
  await mkdir(join(root, "store"));

  function add(name: string): { path: StorePath; real: string } {
    const digest = objects.length.toString().padStart(32, "0");
    const path = storePathFor(defaultStoreDirectory, `${digest}-${name}`);
    objects.push(path);
    return { path, real: realPathOf(path) };
  }

  function realPathOf(path: StorePath): string {
    return join(root, "store", objectNameOf(path));
  }

  return {
    root,
    async addFile(name, contents) {
      const { path, real } = add(name);
      await writeFile(real, contents);
      return path;
    },
    async addDirectory(name) {
      const { path, real } = add(name);
      await mkdir(real);
      return { path, real };
    },
    async task(builder, env, { output = floating, inputs = objects } = {}) {
      const build = join(root, `build-${builds++}`);
      await mkdir(build, { mode: 0o700 });
      const logical = storePathFor(defaultStoreDirectory, `${"z".repeat(32)}-thing`);
      const whole = new Map(Object.entries({ out: logical, ...env }));
      const log: Buffer[] = [];
      const phases: TestTask["phases"] = [];
      return {
        drvPath: storePathFor(defaultStoreDirectory, `${"y".repeat(32)}-thing.drv`),
        derivation: {
          directory: defaultStoreDirectory,
          name: "thing",
          inputDerivations: new Map(),
          inputSources: inputs,
          system: "builtin",
          builder,
          args: [],
          env: whole,
          outputs: new Map([["out", output]]),
        },
        env: whole,
        workDirectory: build,
        outputs: new Map([["out", { logical, real: join(build, "out") }]]),
        inputs,
        realPathOf,
        log: { write: (chunk) => void log.push(Buffer.from(chunk)) },
        progress: (...phase) => void phases.push(phase),
        systemDeps: [],
        output: join(build, "out"),
        phases,
        logged: () => bytesToString(Buffer.concat(log)),
      };
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

/** What is at `path`, for comparisons: contents of files, `*` before those of executables, `-> ` before targets of links. */
export type Shape = string | { [name: string]: Shape };

export async function shapeOf(path: string): Promise<Shape> {
  const target = await readlink(path).catch(() => undefined);
  if (target !== undefined) return `-> ${target}`;
  const status = await stat(path);
  if (!status.isDirectory()) {
    const contents = await readFile(path, "latin1");
    return (status.mode & 0o100) === 0 ? contents : `*${contents}`;
  }
  const names = (await readdir(path)).toSorted();
  const shape: Shape = {};
  for (const name of names) shape[name] = await shapeOf(join(path, name));
  return shape;
}
