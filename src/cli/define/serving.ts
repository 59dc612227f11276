/** `kiln serve`: zb's flags, and a few of Kiln's own. */
import { Option } from "commander";
import type { ServeFlags } from "../commands/serve.ts";
import type { UiFlags } from "../commands/ui.ts";
import { repeated, Switch, valued } from "../arguments.ts";
import type { CommandTree } from "../command-tree.ts";
import {
  choice,
  parseCount,
  parseDuration,
  parseInteger,
  parseMode,
  parseSandboxMode,
} from "../go-values.ts";
import { parseLimit, withLimits } from "../limits.ts";

export function defineServing(tree: CommandTree): void {
  const serve = tree
    .leaf<ServeFlags>(tree.root, "serve", {
      description: "run a build server",
      load: async () => (await import("../commands/serve.ts")).serve,
    })
    .addOption(
      new Option("--admin-socket <path>", "another socket, for its owner, who may do everything"),
    )
    .addOption(
      new Switch(
        "--allow-keep-failed",
        "let users keep directories of failed builds (default: true)",
      ),
    )
    .addOption(
      new Switch("--allow-remote-ui", "let other machines see the web page (default: false)"),
    )
    .addOption(
      valued(
        "--build-log-retention <duration>",
        "time before logs of finished builds are deleted; 0: never (default: 168h)",
        parseDuration,
      ),
    )
    .addOption(new Option("--build-root <dir>", "directory of temporary build directories"))
    .addOption(
      new Option(
        "--build-users-group <group>",
        "Unix group whose members run builders; empty: none",
      ),
    )
    .addOption(valued("--cores-per-build <number>", "hint to builders: CPUs to use", parseInteger))
    .addOption(new Option("--db <path>", "path of the store database"))
    .addOption(
      valued(
        "--durability <what>",
        "what acknowledged objects survive: power (a power failure) or process (default: power)",
        choice("power", "process"),
      ),
    )
    .addOption(repeated("--implicit-system-dep <path>", "path every builder may use (repeatable)"))
    .addOption(valued("--jobs <number>", "builders at the same time (default: CPUs)", parseCount))
    .addOption(
      valued(
        "--keep-free <size>",
        "collect garbage when the store's disk has less free than this (default: never)",
        parseLimit("size"),
      ),
    )
    .addOption(new Option("--log-directory <dir>", "directory of builders' logs"))
    .addOption(
      valued(
        "--log-format <form>",
        "lines of the daemon's own log: text or json (default: text)",
        choice("text", "json"),
      ),
    )
    .addOption(
      new Option("--read-only-socket <path>", "another socket, for everybody, to look and export"),
    )
    .addOption(
      new Option(
        "--real-store <dir>",
        "directory that holds the objects, if not the store directory",
      ),
    )
    .addOption(
      new Switch(
        "--sandbox",
        "isolate builders: true, relaxed (but __noChroot=1), auto (where possible), false (default: true)",
        parseSandboxMode,
      ),
    )
    .addOption(
      repeated("--sandbox-path <paths>", "INSIDE[=HOST] … that builders may ask for (repeatable)"),
    )
    .addOption(
      repeated("--signing-key <file>", "key file that signs what builds make (repeatable)"),
    )
    .addOption(new Option("--socket-group <group>", "group that may use the socket"))
    .addOption(
      valued("--socket-mode <mode>", "permissions of the socket (default: 0660)", parseMode),
    )
    .addOption(new Switch("--systemd", "use systemd socket activation"))
    .addOption(new Switch("--systemd-socket", "the same").hideHelp())
    .addOption(
      new Option(
        "--trusted-group <group>",
        "group whose members may also delete, collect, register and cancel others' builds",
      ),
    )
    .addOption(
      new Option(
        "--ui [address]",
        "serve the web page (alone: at localhost:7420; HOST:PORT, :PORT)",
      ),
    )
    .addOption(
      repeated(
        "--ui-host <name>",
        "a name of this machine that others see the page under (repeatable)",
      ),
    )
    .addOption(
      new Option(
        "--ui-token-file [file]",
        "let who has the token in this file change things through the page (alone: ui-token beside the database)",
      ),
    )
    .addOption(new Option("--dev-templates <dir>").hideHelp())
    .addOption(new Option("--dev-static <dir>").hideHelp());
  withLimits(serve);

  tree
    .leaf<UiFlags>(tree.root, "ui", {
      description: "show the store in the browser, without a daemon",
      load: async () => (await import("../commands/ui.ts")).ui,
    })
    .argument("[address]", "HOST:PORT or :PORT; default: localhost:7420")
    .addOption(new Switch("--json", "print the address as JSON"));
}
