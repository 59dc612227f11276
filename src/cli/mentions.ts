/** Where in an object another one is mentioned. */
import { closeSync, constants, openSync, readlinkSync, readSync } from "node:fs";
import { inSlices } from "../files/slices.ts";
import { walk, type WalkStep } from "../files/walk.ts";
import { ReferenceScanner } from "../format/references/scan.ts";

const readFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** The files and links in `tree` (their paths in it, `.` for itself) that hold `digest`, sorted. */
export async function mentionsIn(tree: string, digest: string): Promise<string[]> {
  const found: string[] = [];
  const names: string[] = [];
  const buffer = Buffer.allocUnsafe(256 * 1024);
  await inSlices(walk(tree, { sorted: true }), (step) => {
    const name = step.depth === 0 ? "." : Buffer.from(step.latin1, "latin1").toString();
    if (step.type === "enter") names.push(name);
    else if (step.type === "leave") names.pop();
    else if (holds(step, digest, buffer)) found.push([...names.slice(1), name].join("/"));
  });
  return found.toSorted();
}

function holds({ type, parent, name }: WalkStep, digest: string, buffer: Buffer): boolean {
  const scanner = new ReferenceScanner([digest]);
  if (type === "symlink") {
    scanner.write(readlinkSync(parent.at(name), "buffer"));
  } else if (type === "file") {
    const file = openSync(parent.at(name), readFlags);
    try {
      for (;;) {
        const length = readSync(file, buffer, 0, buffer.length, null);
        if (length === 0) break;
        scanner.write(buffer.subarray(0, length));
        if (scanner.found().size > 0) break;
      }
    } finally {
      closeSync(file);
    }
  }
  return scanner.found().size > 0;
}
