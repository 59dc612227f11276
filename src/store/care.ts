/** What was done to keep a store small and sound since it was opened. */
import type { Collected } from "./collection.ts";
import type { Verified } from "./inspection.ts";

/** When something ended, in milliseconds since the Unix epoch, and how long it took. */
interface Past {
  readonly endedAt: number;
  readonly durationMs: number;
}

export interface PastCollection extends Past {
  readonly count: number;
  /** Bytes of NARs. */
  readonly size: number;
}

export interface PastVerification extends Past {
  readonly checked: number;
  readonly damaged: number;
}

export class Care {
  /** How often garbage was collected, and what that removed in all; bytes are those of NARs. */
  readonly collected = { times: 0, objects: 0, bytes: 0 };
  lastCollection: PastCollection | undefined;
  /** The last that looked at all objects. */
  lastVerification: PastVerification | undefined;

  noteCollection({ count, bytes }: Collected, startedAt: number): void {
    this.collected.times++;
    this.collected.objects += count;
    this.collected.bytes += bytes;
    this.lastCollection = { ...since(startedAt), count, size: bytes };
  }

  noteVerification({ checked, damaged }: Verified, startedAt: number): void {
    this.lastVerification = { ...since(startedAt), checked, damaged: damaged.length };
  }
}

function since(startedAt: number): Past {
  const endedAt = Date.now();
  return { endedAt, durationMs: Math.max(0, endedAt - startedAt) };
}
