/** What the help of each command shows: command lines to copy, with a word on each. */
import type { Command } from "commander";

type Example = readonly [line: string, what: string];

/** By the words that name the command. */
const examples: Readonly<Record<string, readonly Example[]>> = {
  build: [
    ["kiln build", "the default target of ./kiln.build.ts"],
    ["kiln build .#app examples/hello", "a target by name, and another file's default"],
    ["kiln build .#tool --arg race -o tool", "with a parameter, and a link to the output"],
    ["kiln build --dry-run --why", "what would be built, and why it is not reused"],
    ["kiln build --watch .#app", "again after each change"],
    ["kiln build --check .#app", "does the same come out once more?"],
    ["kiln build --trace trace.json", "a file for ui.perfetto.dev"],
  ],
  attach: [["kiln attach 2c23eb81", "a build that was left with --detach, or anybody's"]],
  ui: [
    ["kiln ui", "the page on your store, until Ctrl-C"],
    ["kiln ui localhost:8080", "at another address"],
  ],
  targets: [["kiln targets examples/greeter", "what can be built there"]],
  eval: [
    ["kiln eval .#app", "the derivation's path; nothing is built"],
    ["kiln eval --twice", "is it the same in another time zone, locale and folder?"],
  ],
  init: [["kiln init", "types for the editor, and a first build file"]],
  "derivation show": [["kiln derivation show --json .#app", "all that the builder will get"]],
  "derivation env": [["kiln derivation env .#app > env", "the builder's environment"]],
  log: [
    ["kiln log app", "what the builder of app wrote the last time"],
    ["kiln log -f 2c23eb81 app", "of a build that runs, until it ends"],
  ],
  ps: [
    ["kiln ps", "what is being built"],
    ["kiln ps -a -n 100", "also what has been built"],
  ],
  cancel: [["kiln cancel 2c23eb81", "a build, by the end of its id"]],
  "nar pack": [["kiln nar pack -o src.nar ./src", "a folder as one file"]],
  doctor: [["kiln doctor", "what works on this machine, and what to do about the rest"]],
  version: [["kiln version --json", "for programs"]],
  gc: [
    ["kiln gc --dry-run", "what would go"],
    ["kiln gc --older-than 30d", "what nobody used for 30 days, and no root needs"],
    ["kiln gc --keep-free 10GiB", "only as much as the disk needs, the oldest first"],
    ["kiln gc --delete ./result", "this one, if nothing needs it"],
  ],
  "root list": [["kiln root list", "names and links, and what they keep"]],
  "root add": [
    ["kiln root add release-2 ./result", "under a name, whatever becomes of the link"],
    ["kiln root add ./result", "for as long as the link is there"],
  ],
  "root remove": [["kiln root remove release-2", "the next collection may take it"]],
  "store verify": [
    ["kiln store verify", "quickly: what was changed since it was last read"],
    ["kiln store verify --contents --before 30d", "every byte, of what was not read for 30 days"],
    ["kiln store verify --repair", "and make again what is damaged"],
  ],
  "store rebuild-db": [["kiln store rebuild-db", "when the database is lost or damaged"]],
  "store adopt": [
    ["kiln store adopt --zb-db /opt/zb/var/zb/db.sqlite", "zb's store becomes Kiln's"],
  ],
  "store list": [["kiln store list --sort size", "the largest objects last"]],
  "store closure": [["kiln store closure ./result", "all that a result needs"]],
  "store path": [["kiln store path --real ./result", "where an object lies on this machine"]],
  "store tree": [["kiln store tree --depth 2 ./result", "what refers to what"]],
  "store why-depends": [
    ["kiln store why-depends --files ./result ./lib", "by which references, in which files"],
  ],
  "store object info": [["kiln store object info --json $(kiln build)", "hash, size, references"]],
  "store object export": [
    ["kiln store object export -o app.export ./result", "an object with all it needs"],
  ],
  "store object import": [["kiln store object import app.export", "what another machine made"]],
  "store object delete": [
    ["kiln store object delete -r ./result", "an object and whatever refers to it"],
  ],
  "store object register": [
    ["kiln store object register < objects.txt", "what lies in the store directory already"],
  ],
  "key generate": [["kiln key generate -o signing.key", "a key for serve --signing-key"]],
  "key show-public": [["kiln key show-public signing.key", "for those who trust it"]],
  install: [
    ["kiln install --multi-user --dry-run", "what would be done"],
    ["kiln install --single-user", "for you alone"],
  ],
  uninstall: [["kiln uninstall --single-user", "the store stays"]],
  serve: [
    ["kiln serve --sandbox-path=/bin/sh=/bin/busybox", "with a shell for builders"],
    [
      'kiln serve --sandbox-path="/bin/sh /bin /lib /lib64 /usr"',
      "what kiln build offers without a daemon",
    ],
    ["kiln serve --sandbox=false --build-users-group=", "builders as yourself, on the machine"],
  ],
  completion: [["kiln completion bash", "a script for ~/.bashrc"]],
};

/** The words that name a command, below the program. */
export function nameOf(command: Command): string {
  const { parent } = command;
  return parent === null ? "" : `${nameOf(parent)} ${command.name()}`.trimStart();
}

/** The command lines that the help of a command shows. */
export function examplesOf(command: Command): readonly Example[] {
  return examples[nameOf(command)] ?? [];
}

/** Lets the help of every command end with its examples. */
export function addExamples(command: Command): void {
  for (const sub of command.commands) addExamples(sub);
  const own = examplesOf(command);
  if (own.length === 0) return;
  const width = Math.max(...own.map(([line]) => line.length));
  const lines = own.map(([line, what]) => `  ${line.padEnd(width)}  # ${what}`);
  command.addHelpText("after", ["", "Examples:", ...lines].join("\n"));
}
