/** `kiln doctor`: what works here, what does not, and what to do about it. */
import { StoreClient } from "../../rpc/client.ts";
import { diagnose, type Finding } from "../../server/doctor.ts";
import { hasCode, KilnError } from "../../util/kiln-error.ts";
import { asCalled } from "../called.ts";
import { type CommandContext, say } from "../context.ts";
import { storeMeant } from "../own-store.ts";
import { type GlobalFlags, type Settings, settingsFrom } from "../settings.ts";
import { withStore } from "../typed.ts";

export interface DoctorFlags {
  readonly json?: boolean;
  readonly db?: string;
  readonly realStore?: string;
  readonly buildRoot?: string;
  readonly buildUsersGroup?: string;
}

/** Exit code 1 when something does not work. */
export async function doctor(
  _operands: readonly string[],
  flags: DoctorFlags & GlobalFlags,
  context: CommandContext,
): Promise<number> {
  const settings = await storeMeant(settingsFrom(flags, context.env), context.env, flags);
  const found = [
    ...(await diagnose({
      realStoreDirectory: flags.realStore ?? settings.realDirectory,
      database: flags.db ?? settings.database,
      buildDirectory: flags.buildRoot,
      buildUsersGroup: flags.buildUsersGroup,
    })),
    await daemon(settings),
  ];
  const findings = found.map((finding) =>
    finding.hint === undefined
      ? finding
      : { ...finding, hint: asCalled(withStore(finding.hint, context.kiln), context.program) },
  );
  if (flags.json === true) say(JSON.stringify({ findings }));
  else findings.flatMap(findingLines).forEach(say);
  return findings.some(({ state }) => state === "bad") ? 1 : 0;
}

/** As `good  sandbox  text`, and the remedy below. */
export function findingLines({ about, state, text, hint }: Finding): string[] {
  const line = `${state.padEnd(4)}  ${about.padEnd(8)} ${text}`;
  return hint === undefined ? [line] : [line, `      ${"try".padEnd(8)} ${hint}`];
}

async function daemon({ socket }: Settings): Promise<Finding> {
  const about = "daemon";
  try {
    const client = await StoreClient.connect(socket);
    try {
      const hello = await client.hello();
      if (hello === undefined) {
        return { about, state: "good", text: `zb's daemon answers at ${socket}` };
      }
      const { version, pid, sandbox } = hello;
      const text = `kiln ${version}, process ${pid}, answers at ${socket}; isolation: ${sandbox}`;
      if (sandbox !== "none") return { about, state: "good", text };
      return { about, state: "weak", text, hint: "kiln serve --sandbox" };
    } finally {
      await client.close();
    }
  } catch (error) {
    if (hasCode(error, "socket.absent")) {
      return { about, state: "good", text: `none at ${socket}; kiln build works without one` };
    }
    const text = `none can be reached at ${socket}: ${KilnError.from(error).message}`;
    return { about, state: "weak", text, hint: "kiln serve" };
  }
}
