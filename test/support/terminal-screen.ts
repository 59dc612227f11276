/** What a person at a terminal sees in the end. */
import xterm from "@xterm/headless";

/** The lines that stay when a terminal of these columns has got the bytes, those that scrolled away included. */
export async function screenAfter(bytes: Buffer, columns: number): Promise<string[]> {
  const terminal = new xterm.Terminal({
    cols: columns,
    rows: 50,
    scrollback: 10_000,
    allowProposedApi: true,
  });
  await new Promise<void>((resolve) => terminal.write(bytes, resolve));
  const { active } = terminal.buffer;
  const lines = Array.from(
    { length: active.length },
    (_, row) => active.getLine(row)?.translateToString(true) ?? "",
  );
  terminal.dispose();
  const last = lines.findLastIndex((line) => line !== "");
  return lines.slice(0, last + 1);
}
