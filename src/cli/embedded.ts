/** The store in this process. Loaded only when no daemon answers. */
import { existsSync } from "node:fs";
import type { ResourceLimits, SandboxMode, SandboxPath, WaitForLock } from "../server/options.ts";
import { Server } from "../server/server.ts";
import { closeInherited } from "./inherited.ts";

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

/** What builders may ask for, where there is no configuration to say so: a shell, and the host's programs. */
function hostPaths(): Map<string, SandboxPath> {
  const paths = [
    "/bin/sh",
    ...["/bin", "/lib", "/lib64", "/usr"].filter((path) => existsSync(path)),
  ];
  return new Map(paths.map((path) => [path, {}]));
}

export async function openEmbeddedServer(options: EmbeddedOptions): Promise<Server> {
  closeInherited();
  const { debug, ...places } = options;
  return await Server.open({
    ...places,
    mode: "embedded",
    allowKeepFailed: true,
    sandboxPaths: hostPaths(),
    log: (level, text) => {
      if (!debug && (level === "debug" || level === "info")) return;
      process.stderr.write(`kiln: ${level === "warn" ? "warning" : level}: ${text}\n`);
    },
  });
}
