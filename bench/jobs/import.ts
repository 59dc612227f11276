/** Objects in. */
import { execFile } from "node:child_process";
import { freemem } from "node:os";
import { promisify } from "node:util";
import { many } from "../../test/support/brief.ts";
import { type Figure, fresh, type Job, MB, seconds, send } from "../job.ts";
import { type Packed, randomObject } from "../objects.ts";

const count = many(1000);
const eighth = many(125);
const files = many(2000);

/** One that is far larger than what fits into any buffer; what it takes of memory, too. */
export const importLarge: Job = {
  name: "import one object of 512 MiB",
  async run(bench) {
    const object = largeObject();
    const client = await bench.client();
    await haveMemory();
    const time = await seconds(() => send(bench, client, [object]));
    return [
      { what: "import one object", value: object.bytes.length / MB / time, unit: "MB/s" },
      { what: "memory at most, importing 512 MiB", value: bench.memory("VmHWM"), unit: "MiB" },
    ];
  },
  async nix(nix) {
    const object = largeObject();
    await haveMemory();
    const time = await seconds(() => nix.import([object]));
    return [{ what: "import one object", value: object.bytes.length / MB / time, unit: "MB/s" }];
  },
};

/** A thousand small ones over one connection, a thousand more by a daemon that is warm by then, and over eight connections. */
export const importSmall: Job = {
  name: "import 1,000 objects of 4 KiB",
  async run(bench) {
    const objects = smallObjects(count);
    const client = await bench.client();
    const alone = await seconds(() => send(bench, client, objects));
    const more = smallObjects(1000);
    const again = await seconds(() => send(bench, client, more));
    const lists = eightLists();
    const clients = await Promise.all(lists.map(() => bench.client()));
    const together = await seconds(() =>
      Promise.all(lists.map((list, index) => send(bench, clients[index]!, list))),
    );
    const what = "import small objects, one stream, again";
    return [...small(alone, together), { what, value: 1000 / again, unit: "objects/s" }];
  },
  async nix(nix) {
    const objects = smallObjects(count);
    const alone = await seconds(() => nix.import(objects));
    const lists = eightLists();
    const together = await seconds(() => Promise.all(lists.map((list) => nix.import(list))));
    return small(alone, together);
  },
};

/** One object of many files. */
export const importTree: Job = {
  name: "import a tree of 2,000 files",
  async run(bench) {
    const object = largeTree();
    const client = await bench.client();
    const time = await seconds(() => send(bench, client, [object]));
    return [{ what: "import a tree", value: files / time, unit: "files/s" }];
  },
  async nix(nix) {
    const object = largeTree();
    const time = await seconds(() => nix.import([object]));
    return [{ what: "import a tree", value: files / time, unit: "files/s" }];
  },
};

/**
 * Has the system have memory for a large file. What a virtual machine has not used for some seconds its host may take away, and to get it back
 * takes several times as long as to write a file; that would be counted against whoever needs it.
 */
async function haveMemory(): Promise<void> {
  const script = "Buffer.alloc(Number(process.argv[1]), 1)";
  const bytes = Math.floor(Math.min(many(1024) * 1024 * 1024, freemem() / 2));
  await promisify(execFile)(process.execPath, ["--eval", script, String(bytes)]);
}

export function largeObject(): Packed {
  return randomObject(fresh("large"), many(512) * 1024 * 1024);
}

export function largeTree(): Packed {
  const sizes = Array.from({ length: files }, () => 2000);
  return randomObject(fresh("tree"), sizes);
}

export function smallObjects(length: number): Packed[] {
  return Array.from({ length }, () => randomObject(fresh("small"), 4096));
}

function eightLists(): Packed[][] {
  return Array.from({ length: 8 }, () => smallObjects(eighth));
}

function small(alone: number, together: number): Figure[] {
  return [
    { what: "import small objects, one stream", value: count / alone, unit: "objects/s" },
    {
      what: "import small objects, 8 connections",
      value: (8 * eighth) / together,
      unit: "objects/s",
    },
  ];
}
