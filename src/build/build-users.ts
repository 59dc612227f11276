import { Limiter } from "../util/limiter.ts";
import type { BuildUser } from "./executor.ts";
import { endProcesses } from "./process-tree.ts";

/** A build user for as long as it is held; `user` is undefined where builders run as the daemon's own user. */
export interface HeldUser extends Disposable {
  readonly user: BuildUser | undefined;
}

/** Unix identities for builders. No two builders have the same one at a time. */
export class BuildUsers {
  readonly #free: BuildUser[];
  readonly #limiter: Limiter | undefined;

  /** Without `users`, everybody runs as the daemon's own user. */
  constructor(users: readonly BuildUser[]) {
    this.#free = [...users];
    this.#limiter = users.length === 0 ? undefined : new Limiter(users.length);
  }

  /** Waits for a free user and ends what it may have left running. Rejects with the reason of `signal`. */
  async acquire(signal?: AbortSignal): Promise<HeldUser> {
    if (this.#limiter === undefined) return { user: undefined, [Symbol.dispose]() {} };
    const place = await this.#limiter.acquire(signal);
    const user = this.#free.shift();
    if (user === undefined) throw new Error("there is a place for each user");
    const giveBack = (): void => {
      this.#free.push(user);
      place[Symbol.dispose]();
    };
    try {
      await endProcesses({ leader: undefined, directory: undefined, uid: user.uid });
    } catch (error) {
      giveBack();
      throw error;
    }
    return { user, [Symbol.dispose]: giveBack };
  }
}
