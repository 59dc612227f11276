/** Commands as they are typed, for messages that say what to type next. */
import type { GlobalFlags } from "./settings.ts";

/** The flags that have named the store, as words of a shell. */
export function storeFlags({ store, storeSocket, config = [] }: GlobalFlags): string[] {
  return [
    ...(store === undefined ? [] : ["--store", shellWord(store)]),
    ...(storeSocket === undefined ? [] : ["--store-socket", shellWord(storeSocket)]),
    ...config.flatMap((file) => ["--config", shellWord(file)]),
  ];
}

/** A hint of those who do not know how the store was named, with the commands in it as they have to be typed. */
export function withStore(hint: string, kiln: (words: string) => string): string {
  const commands = /\bkiln (store rebuild-db|root remove [\w.-]+)( --store [^\s;]+)?/g;
  return hint.replaceAll(commands, (_, words: string, store: string = "") => {
    const command = kiln(words);
    return command.includes(" --store ") ? command : command + store;
  });
}

/** The command line that was typed after the program, with one flag more. */
export function typedWith(program: string, typed: readonly string[], flag: string): string {
  const end = typed.includes("--") ? typed.indexOf("--") : typed.length;
  const words = [...typed.slice(0, end), flag, ...typed.slice(end)];
  return [program, ...words.map(shellWord)].join(" ");
}

/** A word that a shell reads as it stands. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./#-]+$/.test(word) && !word.startsWith("#")
    ? word
    : `'${word.replaceAll("'", `'\\''`)}'`;
}
