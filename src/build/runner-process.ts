/**
 * The process that builders are children of: a program of its own, see runner.ts.
 *
 * It outlives its daemon by the moment it takes to end all builders. Its umask is theirs, and it has no open file that could reach
 * them.
 */
import { closeSync, constants, openSync } from "node:fs";
import { KilnError } from "../util/kiln-error.ts";
import { closeInheritedDescriptors } from "../util/inherited-descriptors.ts";
import { endProcesses, Leader, signalGroup } from "./process-tree.ts";
import type { FromRunner, StartMessage, ToRunner } from "./runner.ts";
import { startBuilder } from "./start-builder.ts";

interface Running {
  readonly directory: string;
  readonly uid: number | undefined;
  leader: Leader | undefined;
  /** Set when it is to end: milliseconds until it is made to. */
  grace: number | undefined;
  kill: NodeJS.Timeout | undefined;
}

const running = new Map<number, Running>();

process.umask(0o022);
closeInheritedDescriptors();
// What ends the daemon must not end this before the builders.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
process.on("message", (message: ToRunner) => {
  if (message.type === "start") void run(message);
  else stop(message.id, message.grace);
});
process.on("disconnect", () => void endAll());

async function run(message: StartMessage): Promise<void> {
  const { id, command, output } = message;
  const { workDirectory, user } = command;
  const build: Running = {
    directory: workDirectory,
    uid: user?.uid,
    leader: undefined,
    grace: undefined,
    kill: undefined,
  };
  running.set(id, build);
  try {
    tell(await ended(message, build));
  } catch (error) {
    const { code, message: text } = KilnError.from(error);
    tell({ type: "failed", id, code, message: text });
  } finally {
    build.leader?.[Symbol.dispose]();
    running.delete(id);
  }

  async function ended({ id }: StartMessage, build: Running): Promise<FromRunner> {
    const descriptor = openForWriting(output);
    let started;
    try {
      started = await startBuilder(command, descriptor);
    } finally {
      closeSync(descriptor);
    }
    if ("fault" in started) return { type: "fault", id, fault: started.fault };
    const exit = new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
      started.process.once("exit", (code, signal) => resolve([code, signal]));
    });
    build.leader = new Leader(started.pid);
    tell({ type: "started", id });
    if (build.grace !== undefined) stop(id, build.grace);
    const [code, signal] = await exit;
    clearTimeout(build.kill);
    await endProcesses(build);
    return { type: "ended", id, code, signal };
  }
}

/** Opens a FIFO without waiting for a reader: the daemon may have died meanwhile, and then none would ever come. */
function openForWriting(fifo: string): number {
  const both = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
  try {
    return openSync(fifo, constants.O_WRONLY);
  } finally {
    closeSync(both);
  }
}

/** Asks the builder to end, and makes it later. */
function stop(id: number, grace: number): void {
  const build = running.get(id);
  if (build === undefined) return;
  build.grace = grace;
  const pid = build.leader?.pid;
  if (pid === undefined) return; // once it is started
  signalGroup(pid, "SIGTERM");
  clearTimeout(build.kill);
  build.kill = setTimeout(() => signalGroup(pid, "SIGKILL"), grace);
}

/** The daemon is gone: nobody waits for these builders any more. */
async function endAll(): Promise<void> {
  await Promise.allSettled([...running.values()].map((build) => endProcesses(build)));
  process.exit();
}

function tell(message: FromRunner): void {
  // A daemon that is gone hears nothing.
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
}
