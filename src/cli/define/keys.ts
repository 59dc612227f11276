/** The commands about signing keys. */
import { Option } from "commander";
import type { GenerateFlags } from "../commands/key.ts";
import type { CommandTree } from "../command-tree.ts";

export function defineKeys(tree: CommandTree): void {
  const key = tree.group(tree.root, "key", "operate on signing key files");
  tree
    .leaf<GenerateFlags>(key, "generate", {
      description: "generate a new signing key",
      unconfigured: true,
      load: async () => (await import("../commands/key.ts")).keyGenerate,
    })
    .addOption(new Option("-o, --output <file>", "file to write to (default: stdout)"));
  tree
    .leaf(key, "show-public", {
      description: "print the public keys of signing keys",
      unconfigured: true,
      load: async () => (await import("../commands/key.ts")).keyShowPublic,
    })
    .argument("[files...]", "signing key files; - or none: stdin");
}
