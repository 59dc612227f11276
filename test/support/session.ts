/** A client of a daemon under test, which sends it derivations and waits for what becomes of them. */
import assert from "node:assert/strict";
import type { Derivation } from "../../src/format/derivation/derivation.ts";
import { derivationPath } from "../../src/format/derivation/print.ts";
import { StoreClient } from "../../src/rpc/client.ts";
import type { Result } from "../../src/rpc/protocol.ts";
import { finishedBuild } from "./builds.ts";
import { exportOf } from "./derivations.ts";

export interface Built {
  readonly status: string;
  readonly log: string;
  /** `kiln.results` has more. */
  readonly result: Result<"kiln.results">["results"][number];
}

export class Session implements AsyncDisposable {
  readonly client: StoreClient;

  private constructor(client: StoreClient) {
    this.client = client;
  }

  static async with(daemon: { readonly socket: string }): Promise<Session> {
    return new Session(await StoreClient.connect(daemon.socket));
  }

  async start(derivation: Derivation): Promise<string> {
    await this.client.importStream([exportOf([derivation])]);
    await this.client.barrier();
    const drvPath = [derivationPath(derivation)];
    const { buildID } = await this.client.call("zb.realize", { drvPath, keepFailed: false });
    return buildID;
  }

  async result(buildID: string): Promise<Built> {
    const { status } = await finishedBuild(this.client, buildID);
    const { results } = await this.client.call("kiln.results", { buildID });
    const [result] = results;
    assert.ok(result !== undefined);
    const { drvPath } = result;
    const log = await this.client.call("zb.readLog", { buildID, drvPath });
    return { status, result, log: textOf(log) };
  }

  async build(derivation: Derivation): Promise<Built> {
    return await this.result(await this.start(derivation));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close();
  }
}

function textOf({ text, base64 }: Result<"zb.readLog">): string {
  return text ?? Buffer.from(base64 ?? "", "base64").toString();
}
