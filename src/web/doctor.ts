/** What `kiln doctor` would find, found at most every few minutes: it tries things out. */
import type { Finding } from "../server/doctor.ts";
import type { Server } from "../server/server.ts";

const freshFor = 5 * 60_000;

export class Doctor {
  readonly #server: Server;
  #findings: Promise<Finding[]> | undefined;
  #time = -Infinity;

  constructor(server: Server) {
    this.#server = server;
  }

  async findings(): Promise<readonly Finding[]> {
    const now = performance.now();
    if (this.#findings === undefined || now - this.#time > freshFor) {
      this.#time = now;
      this.#findings = this.#diagnose();
    }
    try {
      return await this.#findings;
    } catch (error) {
      this.#findings = undefined;
      const text = error instanceof Error ? error.message : String(error);
      return [{ about: "doctor", state: "bad", text }];
    }
  }

  async #diagnose(): Promise<Finding[]> {
    const { diagnose } = await import("../server/doctor.ts");
    const { realDirectory, database } = this.#server.store;
    return await diagnose({ realStoreDirectory: realDirectory, database: database.path });
  }
}
