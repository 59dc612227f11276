/** The commands that make Kiln a service of the machine. */
import { type Command, Option } from "commander";
import { Switch, valued } from "../arguments.ts";
import type { InstallFlags } from "../commands/install.ts";
import type { CommandTree } from "../command-tree.ts";
import { parseCount } from "../go-values.ts";

export function defineInstalling(tree: CommandTree): void {
  forWhom(
    tree.leaf<InstallFlags>(tree.root, "install", {
      description: "install Kiln with its daemon",
      unconfigured: true,
      load: async () => (await import("../commands/install.ts")).install,
    }),
  )
    .addOption(
      new Option("--build-users-group <group>", "group of those who run builders (default: zbld)"),
    )
    .addOption(
      valued("--build-gid <gid>", "its number, if it is made (default: 256000)", parseCount),
    )
    .addOption(valued("--build-users <number>", "how many build users (default: 32)", parseCount))
    .addOption(
      valued(
        "--first-build-uid <uid>",
        "number of the first one that is made (default: 256001)",
        parseCount,
      ),
    )
    .addOption(
      new Option("--socket-group <group>", "group that may use the daemon (default: root alone)"),
    )
    .addOption(
      new Option(
        "--shell <file>",
        "static shell that builders find as /bin/sh (default: /bin/busybox)",
      ),
    );

  forWhom(
    tree.leaf<InstallFlags>(tree.root, "uninstall", {
      description: "remove what kiln install made; the store stays",
      unconfigured: true,
      load: async () => (await import("../commands/install.ts")).uninstall,
    }),
  );
}

/** What both commands have to know: which installation is meant. */
function forWhom(command: Command): Command {
  return command
    .addOption(new Switch("--single-user", "for you alone, in your home folder"))
    .addOption(new Switch("--multi-user", "for everybody on this machine (as root)"))
    .addOption(
      new Option(
        "--prefix <dir>",
        "where lib/kiln and bin/kiln go (default: /usr/local or ~/.local)",
      ),
    )
    .addOption(new Switch("--service", "with the files of systemd or launchd (default: true)"))
    .addOption(new Switch("--dry-run", "only say what would be done"))
    .addOption(new Switch("--json", "print each step as a line of JSON"));
}
