/** The commands that show derivations, builds and logs, and pack NARs. */
import { Option } from "commander";
import type { CancelFlags } from "../commands/cancel.ts";
import type { DerivationEnvFlags } from "../commands/derivation-env.ts";
import type { DerivationShowFlags } from "../commands/derivation-show.ts";
import type { DoctorFlags } from "../commands/doctor.ts";
import type { LogFlags } from "../commands/log.ts";
import type { NarPackFlags } from "../commands/nar-pack.ts";
import type { PsFlags } from "../commands/ps.ts";
import type { VersionFlags } from "../commands/version.ts";
import { Switch, valued } from "../arguments.ts";
import type { CommandTree } from "../command-tree.ts";
import { parseInteger } from "../go-values.ts";
import { withEvaluation } from "./building.ts";

export function defineInspecting(tree: CommandTree): void {
  const derivation = tree.group(tree.root, "derivation", "query derivations");
  withEvaluation(
    tree
      .leaf<DerivationShowFlags>(derivation, "show", {
        description: "show the contents of one or more derivations",
        load: async () => (await import("../commands/derivation-show.ts")).derivationShow,
      })
      .argument("[targets...]", "PATH.drv or FILE|DIR[#TARGET[/PART…]]")
      .addOption(new Switch("--json", "print derivations as JSON")),
  );
  withEvaluation(
    tree
      .leaf<DerivationEnvFlags>(derivation, "env", {
        description: "show the environment of one or more derivations",
        load: async () => (await import("../commands/derivation-env.ts")).derivationEnv,
      })
      .argument("[targets...]", "PATH.drv or FILE|DIR[#TARGET[/PART…]]")
      .addOption(new Switch("--json", "print environments as JSON"))
      .addOption(new Option("--temp-dir <dir>", "temporary directory to fill in (default: /tmp)")),
  );

  tree
    .leaf<LogFlags>(tree.root, "log", {
      description: "print what a builder wrote",
      load: async () => (await import("../commands/log.ts")).log,
    })
    .argument(
      "<build-or-name>",
      "a build (its id, or the last 6 or more characters of it), or a result's name",
    )
    .argument("[name]", "the result's name or derivation path")
    .addOption(new Switch("-f, --follow", "go on until the builder ends"))
    .addOption(new Switch("--raw", "the bytes as they are, also on a terminal"))
    .addOption(new Switch("--json", "print each line as a line of JSON"));

  tree
    .leaf<PsFlags>(tree.root, "ps", {
      description: "list builds",
      load: async () => (await import("../commands/ps.ts")).ps,
    })
    .addOption(new Switch("-a, --all", "also those that have ended"))
    .addOption(valued("-n, --limit <number>", "at most this many (default: 25)", parseInteger))
    .addOption(new Switch("--json", "print as JSON lines"));

  tree
    .leaf<CancelFlags>(tree.root, "cancel", {
      description: "cancel builds",
      load: async () => (await import("../commands/cancel.ts")).cancel,
    })
    .argument("<builds...>", "their ids, or the last 6 or more characters of them")
    .addOption(new Switch("--json", "print each build as a line of JSON"));

  tree
    .leaf<DoctorFlags>(tree.root, "doctor", {
      description: "say what works on this machine, what does not, and what to do about it",
      load: async () => (await import("../commands/doctor.ts")).doctor,
    })
    .addOption(new Option("--build-root <dir>", "directory of temporary build directories"))
    .addOption(new Option("--build-users-group <group>", "Unix group whose members run builders"))
    .addOption(new Option("--db <path>", "path of the store database"))
    .addOption(
      new Option(
        "--real-store <dir>",
        "directory that holds the objects, if not the store directory",
      ),
    )
    .addOption(new Switch("--json", "print as JSON"));

  const nar = tree.group(tree.root, "nar", "operate on NAR files");
  tree
    .leaf<NarPackFlags>(nar, "pack", {
      description: "serialize a file system object to NAR format",
      unconfigured: true,
      load: async () => (await import("../commands/nar-pack.ts")).narPack,
    })
    .argument("<path>")
    .addOption(new Option("-o, --output <file>", "file to write to (default is stdout)"))
    .addOption(
      new Switch(
        "--self-references",
        "rewrite any self-references and print path to stdout (must use with --output)",
      ),
    );

  tree
    .leaf<VersionFlags>(tree.root, "version", {
      description: "show version information",
      unconfigured: true,
      load: async () => (await import("../commands/version.ts")).version,
    })
    .addOption(new Switch("--json", "print as JSON"));
}
