/** A small build in a sandbox, to see whether it works and isolates. */
import {
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { removeTree } from "../../files/remove-tree.ts";
import { parseStoreDirectory } from "../../format/store-path.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { FifoPool } from "../fifo-pool.ts";
import { assemble } from "./assembly.ts";
import { idsFor } from "./identity.ts";
import type { Guard } from "./guard.ts";
import { launch } from "./launcher.ts";
import { resolvePath } from "./paths.ts";
import { librariesOf } from "./program-files.ts";
import { type Launch, type Mode, starterFor } from "./start.ts";
import { Slot } from "./slot.ts";
import type { Tools } from "./tools.ts";

export interface Trial {
  readonly tools: Tools;
  readonly mode: Mode;
  readonly inner: boolean;
  readonly guard: Guard | undefined;
  /** An existing private folder on the store's file system. */
  readonly directory: string;
}

const storeDirectory = parseStoreDirectory("/kiln/trial/store");
const [inputName, outputName] = [`${"0".repeat(32)}-input`, `${"1".repeat(32)}-output`];

/**
 * Runs it.
 *
 * @throws KilnError `sandbox.setup` when the sandbox cannot be made, `sandbox.leaky` when it is not what it should be
 */
export async function tryOut({ tools, mode, inner, guard, directory }: Trial): Promise<void> {
  const folder = mkdtempSync(join(directory, "trial-"));
  try {
    const [workDirectory, realDirectory] = [join(folder, "build"), join(folder, "store")];
    mkdirSync(workDirectory, { mode: 0o700 });
    mkdirSync(join(realDirectory, inputName), { recursive: true });
    writeFileSync(join(realDirectory, inputName, "word"), "trial\n", { mode: 0o444 });
    const slot = await Slot.make(folder, 0);
    const { inside, outside } = idsFor({ mode, inner }, undefined, -1);
    if (mode === "root") chownSync(workDirectory, outside.uid, outside.gid);
    const common = { storeDirectory, realDirectory, workDirectory, identity: inside };
    const builder = tools.shell.program;
    const command = { builder, args: ["-c", script], env: new Map() };
    const files = [builder, ...(await librariesOf(builder))].map((inside) =>
      resolvePath({ inside, source: realpathSync(inside), alwaysPresent: true }),
    );
    const content = { objects: [inputName], paths: files, network: false };
    const mounts = await assemble(slot, { ...common, ...content });
    const how = { tools, mode, inner, guard, ...outside, mounts, command };
    const said = await run(slot, how, folder);
    const output = join(folder, "output");
    slot.moveOut(outputName, output);
    check(said, {
      uid: String(inside.uid),
      // A plain user cannot drop groups: inside they are nobody's, but for the user's own, which is the builder's.
      groups: mode === "user" ? ["", "65534", String(inside.gid)] : [""],
      output: readFileSync(output, "utf8"),
      filtered: guard !== undefined,
    });
  } finally {
    await removeTree(folder);
  }
}

async function run(
  slot: Slot,
  how: Omit<Trial, "directory"> & Pick<Launch, "uid" | "gid" | "mounts" | "command">,
  folder: string,
): Promise<string> {
  let said = "";
  await using fifos = new FifoPool(folder);
  using fifo = await fifos.take((chunk) => (said += chunk.toString()));
  const patience = AbortSignal.timeout(30_000);
  await using starter = starterFor(how, folder);
  const onStarted = (): void => fifo.closeWriteEnd();
  const where = { directory: slot.directory, output: fifo, onStarted };
  const ended = await launch({ ...how, ...where, starter, grace: 0 }, patience);
  await fifo.ended;
  if (ended.type !== "exited" || ended.code !== 0)
    throw leaky(said.trim() || JSON.stringify(ended));
  return said;
}

const script = `
cd ${storeDirectory}/${inputName}
read -r word <word
[ "$word" = trial ] || { echo "an input cannot be read"; exit 1; }
if (echo changed >word) 2>/dev/null; then echo "an input can be changed"; exit 1; fi
echo made >../${outputName} || exit 1
echo "home" >/build/file && echo "temporary" >/tmp/file && echo "nothing" >/dev/null || exit 1
while read -r line; do echo "$line"; done </proc/self/status
exit 0
`;

interface Expected {
  readonly uid: string;
  /** What supplementary groups may look like; empty: none. */
  readonly groups: readonly string[];
  readonly output: string;
  readonly filtered: boolean;
}

/** @param said /proc/self/status of the builder */
function check(said: string, expected: Expected): void {
  const value = (name: string): string | undefined =>
    new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(said)?.[1];
  if (expected.output !== "made\n") throw leaky("an output was not kept");
  if (value("NoNewPrivs") !== "1") throw leaky("builders could gain privileges");
  if (expected.filtered && value("Seccomp") !== "2") throw leaky("builders can make every call");
  if (/[1-9a-f]/.test(`${value("CapPrm") ?? "f"}${value("CapEff") ?? "f"}`)) {
    throw leaky("builders keep capabilities");
  }
  if (
    value("Uid")
      ?.split(/\s+/)
      .every((uid) => uid === expected.uid) !== true
  ) {
    throw leaky(`builders run as another user than ${expected.uid}`);
  }
  const groups = value("Groups")?.trim().split(/\s+/) ?? ["?"];
  if (!groups.every((group) => expected.groups.includes(group))) {
    throw leaky("builders keep supplementary groups");
  }
}

function leaky(message: string): KilnError {
  return new KilnError("sandbox.leaky", message, { kind: "internal" });
}
