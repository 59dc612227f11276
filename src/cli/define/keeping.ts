/** The commands that keep the store small and sound. */
import { Option } from "commander";
import type { GcFlags } from "../commands/gc.ts";
import type { RootFlags } from "../commands/root.ts";
import type { RebuildFlags } from "../commands/store-rebuild-db.ts";
import type { VerifyFlags } from "../commands/store-verify.ts";
import { Switch, valued } from "../arguments.ts";
import type { CommandTree } from "../command-tree.ts";
import { parseAge, parseTime } from "../go-values.ts";
import { parseLimit } from "../limits.ts";

export function defineKeeping(tree: CommandTree): void {
  tree
    .leaf<GcFlags>(tree.root, "gc", {
      description: "remove objects that no root needs, the least recently used first",
      load: async () => (await import("../commands/gc.ts")).gc,
    })
    .argument("[objects...]", "with --delete: store paths, or files that lead there")
    .addOption(new Option("--db <path>", "path of the store database (no daemon)"))
    .addOption(new Switch("--delete", "remove only these objects, and what refers to them"))
    .addOption(new Switch("-n, --dry-run", "only say what would be removed"))
    .addOption(
      valued("--keep-free <size>", "stop when the disk has this much free", parseLimit("size")),
    )
    .addOption(
      valued("--max-size <size>", "stop when the objects are this much", parseLimit("size")),
    )
    .addOption(
      valued(
        "--older-than <duration>",
        "leave what was used within this time: 12h, 30d (default: 10m)",
        parseAge,
      ),
    )
    .addOption(new Switch("--json", "print as JSON"));

  const root = tree.group(tree.root, "root", "say what garbage collection keeps");
  tree
    .leaf<RootFlags>(root, "list", {
      description: "list what is kept",
      load: async () => (await import("../commands/root.ts")).rootList,
    })
    .addOption(new Switch("--json", "print as JSON lines"));
  tree
    .leaf<RootFlags>(root, "add", {
      description: "keep an object, and all that it refers to",
      load: async () => (await import("../commands/root.ts")).rootAdd,
    })
    .argument("<name>", "a name for the root, or a link to an object")
    .argument("[object]", "a store path, or a file that leads there; not for a link")
    .addOption(new Switch("--json", "print as JSON"));
  tree
    .leaf<RootFlags>(root, "remove", {
      description: "keep it no longer; a link stays where it is",
      load: async () => (await import("../commands/root.ts")).rootRemove,
    })
    .alias("rm")
    .argument("<roots...>", "names of roots, or links")
    .addOption(new Switch("--json", "print as JSON lines"));
}

/** Those of `kiln store`. */
export function defineMending(tree: CommandTree, store: ReturnType<CommandTree["group"]>): void {
  tree
    .leaf<VerifyFlags>(store, "verify", {
      description: "look for objects that are missing or altered",
      load: async () => (await import("../commands/store-verify.ts")).storeVerify,
    })
    .argument("[objects...]", "store paths, or files that lead there (default: all)")
    .addOption(
      valued(
        "--before <time>",
        "only those whose bytes were last read before: 30d (ago), or 2026-01-31T12:00:00Z",
        parseTime,
      ),
    )
    .addOption(new Switch("--contents", "read every byte, not only where something was changed"))
    .addOption(new Option("--db <path>", "path of the store database (no daemon)"))
    .addOption(new Switch("--repair", "mend what is damaged: put it aside, and build it again"))
    .addOption(new Switch("--json", "print as JSON"));

  tree
    .leaf<RebuildFlags>(store, "rebuild-db", {
      description: "make a new database, when it is lost, of the objects that are there",
      load: async () => (await import("../commands/store-rebuild-db.ts")).storeRebuildDb,
    })
    .addOption(new Option("--db <path>", "path of the store database"))
    .addOption(new Switch("--force", "also when the database is in order"))
    .addOption(
      new Option(
        "--real-store <dir>",
        "directory that holds the objects, if not the store directory",
      ),
    )
    .addOption(new Switch("--json", "print as JSON"));
}
