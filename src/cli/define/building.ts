/** The commands that evaluate build files, and their flags. */
import { type Command, Option } from "commander";
import type { ProgressFlags } from "../building/shown-build.ts";
import type { BuildFlags } from "../commands/build.ts";
import type { EvalFlags } from "../commands/eval.ts";
import type { InitFlags } from "../commands/init.ts";
import type { TargetsFlags } from "../commands/targets.ts";
import { repeated, Switch, valued } from "../arguments.ts";
import type { CommandTree } from "../command-tree.ts";
import { choice, parseCount, parseSandboxMode } from "../go-values.ts";
import { withLimits } from "../limits.ts";

export function defineBuilding(tree: CommandTree): void {
  const build = tree.leaf<BuildFlags>(tree.root, "build", {
    description: "build targets of build files, or derivations",
    load: async () => (await import("../commands/build.ts")).build,
  });
  build
    .argument("[targets...]", "FILE|DIR[#TARGET[/PART…]] or PATH.drv; default: .")
    .addOption(new Switch("-k, --keep-failed", "keep temporary directories of failed builds"))
    .addOption(
      new Switch(
        "--keep-going",
        "after a failure go on with independent work (default: true; else --keep-going=false)",
      ),
    )
    .addOption(new Switch("--clean", "ignore earlier realisations"))
    .addOption(valued("--jobs <number>", "builders at the same time (no daemon)", parseCount))
    .addOption(
      new Switch(
        "--sandbox",
        "isolate builders: true, relaxed, auto or false (no daemon; default: auto)",
        parseSandboxMode,
      ),
    )
    .addOption(
      new Option("-o, --out-link <path>", "make symlinks to outputs: PATH, PATH-OUTPUT, PATH-2 …"),
    )
    .addOption(new Switch("--dry-run", "say what would be built, and build nothing"))
    .addOption(new Switch("--why", "say why things are built and not reused"))
    .addOption(new Switch("--check", "build the targets again, and say what came out different"))
    .addOption(new Switch("--watch", "build again whenever something changes"))
    .addOption(new Switch("--detach", "leave the build to the daemon, and print its id"));
  withProgress(withLimits(withEvaluation(build), " (no daemon)"));

  withProgress(
    tree
      .leaf<ProgressFlags>(tree.root, "attach", {
        description: "watch a build of the daemon",
        load: async () => (await import("../commands/attach.ts")).attach,
      })
      .argument(
        "[build]",
        "its id, or the last 6 or more characters of it; default: the one that runs",
      ),
  );

  withEvaluation(
    tree
      .leaf<TargetsFlags>(tree.root, "targets", {
        description: "list the targets of build files",
        load: async () => (await import("../commands/targets.ts")).listTargets,
      })
      .argument("[files...]", "FILE or DIR; default: .")
      .addOption(new Switch("--json", "print as JSON")),
  );

  withEvaluation(
    tree
      .leaf<EvalFlags>(tree.root, "eval", {
        description: "print the derivations of targets without building them",
        load: async () => (await import("../commands/eval.ts")).evalTargets,
      })
      .argument("[targets...]", "FILE|DIR[#TARGET[/PART…]]; default: .")
      .addOption(
        new Switch("--twice", "again with another folder, time zone and locale; both must agree"),
      )
      .addOption(new Switch("--json", "print as JSON")),
  );
  defineInit(tree);
}

function defineInit(tree: CommandTree): void {
  tree
    .leaf<InitFlags>(tree.root, "init", {
      description: "write a first build file, and types for the editor",
      unconfigured: true,
      load: async () => (await import("../commands/init.ts")).init,
    })
    .argument("[folder]", "default: .")
    .addOption(new Switch("--json", "print each file as a line of JSON"));
}

/** Flags of every command that evaluates build files. */
export function withEvaluation(command: Command): Command {
  return command
    .addOption(repeated("--arg <name=value>", "set a parameter of the targets"))
    .addOption(new Option("--system <system>", "evaluate for this system instead of the host's"))
    .addOption(repeated("--allow-env <var>", "let build files read this environment variable"))
    .addOption(new Switch("--allow-all-env", "let build files read all environment variables"))
    .addOption(new Switch("-e, --expression", "zb's Lua expressions").hideHelp());
}

function withProgress(command: Command): Command {
  return command
    .addOption(new Switch("--json", "print events as JSON lines on stdout"))
    .addOption(new Option("--trace <file>", "write a trace of the build, for Perfetto or Chrome"))
    .addOption(new Switch("-q, --quiet", "print errors only"))
    .addOption(new Switch("-v, --verbose", "print reasons and paths"))
    .addOption(new Switch("-L, --print-build-logs", "print all log lines of builders"))
    .addOption(
      valued(
        "--progress <how>",
        "auto, tree, plain or quiet (default: auto)",
        choice("auto", "tree", "plain", "quiet"),
      ),
    )
    .addOption(
      valued(
        "--color <when>",
        "auto, always or never (default: auto)",
        choice("auto", "always", "never"),
      ),
    );
}
