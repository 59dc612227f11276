/** All commands. */
import { Option } from "commander";
import { repeated, Switch } from "./arguments.ts";
import { CommandTree } from "./command-tree.ts";
import type { Surroundings } from "./context.ts";
import { addExamples } from "./examples.ts";
import { defineBuilding } from "./define/building.ts";
import { defineCompletion } from "./define/completion.ts";
import { defineInspecting } from "./define/inspecting.ts";
import { defineInstalling } from "./define/installing.ts";
import { defineKeeping } from "./define/keeping.ts";
import { defineKeys } from "./define/keys.ts";
import { defineServing } from "./define/serving.ts";
import { defineStore } from "./define/store.ts";

export function makeProgram(surroundings: Surroundings): CommandTree {
  const tree = new CommandTree("kiln", "a content-addressed store and build tool", surroundings);
  tree.root
    .addOption(new Option("--store <dir>", "path of the store directory (default: /opt/zb/store)"))
    .addOption(new Option("--store-socket <path>", "path of the store daemon's socket"))
    .addOption(repeated("--config <file>", "configuration file (repeatable)"))
    .addOption(new Option("--cache <path>", "directory for what can be made again"))
    .addOption(new Switch("--debug", "show debugging output, and stacks of errors"));
  defineBuilding(tree);
  defineInspecting(tree);
  defineStore(tree);
  defineKeeping(tree);
  defineKeys(tree);
  defineInstalling(tree);
  defineServing(tree);
  defineCompletion(tree);
  addExamples(tree.root);
  return tree;
}
