/** Completion by the shell. */
import { Argument } from "commander";
import type { CommandTree } from "../command-tree.ts";

export function defineCompletion(tree: CommandTree): void {
  tree
    .leaf(tree.root, "completion", {
      description: "print a script that makes the shell complete kiln's command lines",
      unconfigured: true,
      load: async () => (await import("../commands/completion.ts")).completion,
    })
    .addArgument(new Argument("<shell>", "bash, zsh or fish").choices(["bash", "zsh", "fish"]))
    .addHelpText(
      "after",
      `
To have it in every shell:
  bash   echo 'source <(kiln completion bash)' >> ~/.bashrc
  zsh    kiln completion zsh > "\${fpath[1]}/_kiln"
  fish   kiln completion fish > ~/.config/fish/completions/kiln.fish`,
    );
  tree
    .leaf(tree.root, "complete", {
      description: "what may come next: for the scripts of kiln completion",
      hidden: true,
      unconfigured: true,
      load: async () => {
        const { answerShell } = await import("../commands/completion.ts");
        return async (words, _flags, context) => await answerShell(tree.root, words, context);
      },
    })
    .argument("[words...]");
}
