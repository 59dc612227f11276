/** The commands that look into the store and change it. */
import { Option } from "commander";
import type { AdoptFlags } from "../commands/store-adopt.ts";
import type {
  DeleteFlags,
  ExportFlags,
  InfoFlags,
  RegisterFlags,
} from "../commands/store-object.ts";
import { Switch } from "../arguments.ts";
import type { CommandTree } from "../command-tree.ts";

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

  const object = tree.group(store, "object", "inspect and transfer store objects");

  tree
    .leaf<InfoFlags>(object, "info", {
      description: "show metadata of one or more store objects",
      load: async () => (await import("../commands/store-object.ts")).objectInfo,
    })
    .argument("[paths...]")
    .addOption(new Switch("--json", "print object info as JSON"));

  tree
    .leaf<ExportFlags>(object, "export", {
      description: "export one or more store objects",
      load: async () => (await import("../commands/store-object.ts")).objectExport,
    })
    .argument("<paths...>")
    .addOption(new Option("-o, --output <file>", "output file"))
    .addOption(new Switch("--references", "include referenced store objects (default: true)"));

  tree
    .leaf(object, "import", {
      description: "import store objects from a previous `kiln store object export`",
      load: async () => (await import("../commands/store-object.ts")).objectImport,
    })
    .argument("[files...]", "export files; - or none: stdin");

  tree
    .leaf<DeleteFlags>(object, "delete", {
      description: "delete one or more store objects",
      load: async () => (await import("../commands/store-object.ts")).objectDelete,
    })
    .alias("rm")
    .argument("<paths...>")
    .addOption(new Option("--db <path>", "path of the store database (no daemon)"))
    .addOption(new Switch("-r, --recursive", "delete objects that depend on the paths"));

  tree
    .leaf<RegisterFlags>(object, "register", {
      description:
        "Adds information for objects already present in the store directory to the store\n" +
        "database. Information is read from stdin in the format of `kiln store object info`.",
      hidden: true,
      load: async () => (await import("../commands/store-object.ts")).objectRegister,
    })
    .addOption(new Option("--db <path>", "path of the store database (no daemon)"));
}
