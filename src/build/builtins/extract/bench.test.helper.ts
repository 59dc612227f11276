/** For tests: archives put into a store of the test's own and unpacked from there. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import type { BuiltinContext } from "../builtin.ts";
import { shapeOf, type Shape, type TestStore, testStore } from "../task.test.helper.ts";
import { extract } from "./archive.ts";
import type { ExtractLimits } from "./limits.ts";

export interface ExtractSettings {
  readonly strip?: boolean;
  readonly limits?: Partial<ExtractLimits>;
  /** Empty: no program is found. */
  readonly searchPath?: string;
  readonly signal?: AbortSignal;
}

/** One for a file of tests: it is set up before and taken down after them. */
export class ExtractBench {
  #store: TestStore | undefined;

  constructor() {
    before(async () => {
      this.#store = await testStore();
      await mkdir(this.outside);
    });
    after(async () => {
      await this.#store?.[Symbol.asyncDispose]();
    });
  }

  get store(): TestStore {
    assert.ok(this.#store);
    return this.#store;
  }

  /** An empty directory that hostile archives would like to write to. */
  get outside(): string {
    return join(this.store.root, "outside");
  }

  async unpack(archive: Buffer, settings: ExtractSettings = {}): Promise<Shape> {
    return await this.unpackPath(await this.store.addFile("archive", archive), settings);
  }

  async unpackPath(src: string, settings: ExtractSettings = {}): Promise<Shape> {
    const env = { src, ...(settings.strip === true && { stripFirstComponent: "1" }) };
    const task = await this.store.task("builtin:extract", env);
    await extract(task, contextOf(settings), settings.limits);
    return await shapeOf(task.output);
  }
}

export function contextOf({ searchPath, signal }: ExtractSettings = {}): BuiltinContext {
  return {
    environment: { PATH: searchPath ?? process.env["PATH"] },
    signal: signal ?? new AbortController().signal,
  };
}

function program(name: string): (data: Buffer) => Buffer {
  return (data) => execFileSync(name, { input: data, maxBuffer: 1 << 28 });
}

/** Every way to write a tar archive, by name. */
export const compressors: readonly (readonly [string, (data: Buffer) => Buffer])[] = [
  ["plain", (data) => data],
  ["gzip", (data) => gzipSync(data)],
  ["bzip2", program("bzip2")],
  ["xz", program("xz")],
  ["zstd", (data) => zstdCompressSync(data)],
];
