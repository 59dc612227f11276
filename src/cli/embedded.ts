/** The store in this process. Loaded only when no daemon answers. */
import type { ResourceLimits, SandboxMode, WaitForLock } from "../server/options.ts";
import { Server } from "../server/server.ts";
import { closeInheritedDescriptors } from "../util/inherited-descriptors.ts";
import { hostPaths } from "./host-paths.ts";

export interface EmbeddedOptions {
  readonly directory: string;
  readonly realStoreDirectory: string;
  readonly database: string;
  readonly logDirectory: string;
  readonly jobs: number | undefined;
  readonly sandbox: SandboxMode | undefined;
  readonly limits: ResourceLimits | undefined;
  readonly waitForLock: WaitForLock;
  readonly debug: boolean;
}

export async function openEmbeddedServer(options: EmbeddedOptions): Promise<Server> {
  closeInheritedDescriptors();
  const { debug, ...places } = options;
  return await Server.open({
    ...places,
    mode: "embedded",
    allowKeepFailed: true,
    sandboxPaths: new Map(hostPaths().map((path) => [path, {}])),
    log: (level, text) => {
      if (!debug && (level === "debug" || level === "info")) return;
      process.stderr.write(`kiln: ${level === "warn" ? "warning" : level}: ${text}\n`);
    },
  });
}
