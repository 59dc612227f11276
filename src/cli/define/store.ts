/** The commands that look into the store and change it. */
import { type Command, Option } from "commander";
import type { AdoptFlags } from "../commands/store-adopt.ts";
import type { ClosureFlags, ListFlags, TreeFlags, WhyFlags } from "../commands/store-graph.ts";
import type {
  DeleteFlags,
  ExportFlags,
  ImportFlags,
  InfoFlags,
  RegisterFlags,
} from "../commands/store-object.ts";
import type { PathFlags } from "../commands/store-path.ts";
import { Switch, valued } from "../arguments.ts";
import type { CommandTree } from "../command-tree.ts";
import { defineMending } from "./keeping.ts";
import { choice, parseInteger } from "../go-values.ts";

const objectHelp = "store paths, or files that lead there";

function withListing(command: Command): Command {
  return command
    .addOption(valued("--sort <by>", "path or size (default: path)", choice("path", "size")))
    .addOption(new Switch("--paths", "print paths only"))
    .addOption(new Switch("--json", "print as JSON lines"));
}

export function defineStore(tree: CommandTree): void {
  const store = tree.group(tree.root, "store", "inspect the store");
  tree
    .leaf<AdoptFlags>(store, "adopt", {
      description: "take over a store of zb's, after verifying its objects",
      load: async () => (await import("../commands/store-adopt.ts")).storeAdopt,
    })
    .addOption(new Option("--zb-db <path>", "zb's database, as /opt/zb/var/zb/db.sqlite"))
    .addOption(new Option("--db <path>", "Kiln's database (default: in the place of zb's)"))
    .addOption(new Option("--log-directory <dir>", "directory of zb's build logs"))
    .addOption(
      new Option(
        "--real-store <dir>",
        "directory that holds the objects, if not the store directory",
      ),
    )
    .addOption(new Switch("--json", "print as JSON"));

  withListing(
    tree.leaf<ListFlags>(store, "list", {
      description: "list the objects in the store, with their sizes",
      load: async () => (await import("../commands/store-graph.ts")).storeList,
    }),
  );
  withListing(
    tree.leaf<ClosureFlags>(store, "closure", {
      description: "list objects and all they refer to",
      load: async () => (await import("../commands/store-graph.ts")).storeClosure,
    }),
  )
    .argument("<objects...>", objectHelp)
    .addOption(new Switch("--referrers", "what refers to them, instead"));
  tree
    .leaf<PathFlags>(store, "path", {
      description: "print the store path of objects, or where they lie on this machine",
      load: async () => (await import("../commands/store-path.ts")).storePath,
    })
    .argument("<objects...>", objectHelp)
    .addOption(new Switch("--real", "where they lie: a user's own store is somewhere else"))
    .addOption(new Switch("--json", "print both as JSON lines"));
  tree
    .leaf<TreeFlags>(store, "tree", {
      description: "show what objects refer to, as a tree",
      load: async () => (await import("../commands/store-graph.ts")).storeTree,
    })
    .argument("<objects...>", objectHelp)
    .addOption(valued("--depth <number>", "levels to show (default: all)", parseInteger))
    .addOption(new Switch("--referrers", "what refers to them, instead"))
    .addOption(new Switch("--json", "print as JSON lines"));
  tree
    .leaf<WhyFlags>(store, "why-depends", {
      description: "show how an object comes to depend on another one",
      load: async () => (await import("../commands/store-graph.ts")).storeWhyDepends,
    })
    .argument("<object>", objectHelp)
    .argument("<dependency>", objectHelp)
    .addOption(new Switch("-a, --all", "all ways, not only the shortest"))
    .addOption(new Switch("--files", "also the files in which the references are"))
    .addOption(new Switch("--json", "print as JSON"));

  defineMending(tree, store);

  const object = tree.group(store, "object", "inspect and transfer store objects");

  tree
    .leaf<InfoFlags>(object, "info", {
      description: "show metadata of one or more store objects",
      load: async () => (await import("../commands/store-object.ts")).objectInfo,
    })
    .argument("[objects...]", objectHelp)
    .addOption(new Switch("--json", "print object info as JSON"));

  tree
    .leaf<ExportFlags>(object, "export", {
      description: "export one or more store objects",
      load: async () => (await import("../commands/store-object.ts")).objectExport,
    })
    .argument("<objects...>", objectHelp)
    .addOption(new Option("-o, --output <file>", "output file"))
    .addOption(new Switch("--references", "include referenced store objects (default: true)"));

  tree
    .leaf<ImportFlags>(object, "import", {
      description: "import store objects from a previous `kiln store object export`",
      load: async () => (await import("../commands/store-object.ts")).objectImport,
    })
    .argument("[files...]", "export files; - or none: stdin")
    .addOption(new Switch("--json", "print what became of each object as a line of JSON"));

  tree
    .leaf<DeleteFlags>(object, "delete", {
      description: "delete one or more store objects",
      load: async () => (await import("../commands/store-object.ts")).objectDelete,
    })
    .alias("rm")
    .argument("<objects...>", objectHelp)
    .addOption(new Option("--db <path>", "path of the store database (no daemon)"))
    .addOption(new Switch("-r, --recursive", "delete objects that depend on the paths"))
    .addOption(new Switch("--json", "print each path as a line of JSON"));

  tree
    .leaf<RegisterFlags>(object, "register", {
      description:
        "Adds information for objects already present in the store directory to the store\n" +
        "database. Information is read from stdin in the format of `kiln store object info`.",
      hidden: true,
      load: async () => (await import("../commands/store-object.ts")).objectRegister,
    })
    .addOption(new Option("--db <path>", "path of the store database (no daemon)"))
    .addOption(new Switch("--json", "print each path as a line of JSON"));
}
