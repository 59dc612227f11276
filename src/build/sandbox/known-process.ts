/** A process that is not our child, told from another one that gets its number later. */
import { readFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";
import { KilnError } from "../../util/kiln-error.ts";

export class KnownProcess {
  readonly pid: number;
  readonly #startTime: string | undefined;

  constructor(pid: number) {
    this.pid = pid;
    this.#startTime = lifeOf(pid)?.startTime;
  }

  /** Whether it lives; one that is dead but not yet waited for does not. */
  get isAlive(): boolean {
    const life = lifeOf(this.pid);
    return life !== undefined && life.startTime === this.#startTime && !/[ZX]/.test(life.state);
  }

  kill(): void {
    if (!this.isAlive) return;
    try {
      process.kill(this.pid, "SIGKILL");
    } catch {
      // It has just gone.
    }
  }

  /**
   * Kills it and waits for its end.
   *
   * @throws KilnError `process.survived` when it does not come within `patience` milliseconds
   */
  async gone(patience = 10_000): Promise<void> {
    const deadline = performance.now() + patience;
    for (; this.isAlive; await wait(5)) {
      this.kill();
      if (performance.now() < deadline) continue;
      const message = `process ${this.pid} cannot be killed`;
      throw new KilnError("process.survived", message, { kind: "internal" });
    }
  }
}

function lifeOf(pid: number): { readonly state: string; readonly startTime: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // "pid (name) state …": the name may hold anything. The start time is field 22.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0] ?? "", startTime: fields[19] ?? "" };
  } catch {
    return undefined;
  }
}
