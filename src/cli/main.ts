#!/usr/bin/env node
/** The command `kiln`. What it loads is compiled once and kept in the user's own cache folder: that is a third of its start. */
import module from "node:module";
import { join } from "node:path";
import { xdgDirectory } from "./xdg.ts";

// Said before anything is loaded that an older Node does not have.
if (Number.parseInt(process.versions.node, 10) < 24) {
  console.error(
    `kiln: error: Node 24 or newer is needed, and this is ${process.versions.node}; npm install --save-dev node@24 gives a project one`,
  );
  process.exit(1);
}
const cache = xdgDirectory(process.env, "XDG_CACHE_HOME", ".cache");
module.enableCompileCache(join(cache, "kiln", "compiled"));
void import("./run.ts").then(async ({ run }) => process.exit(await run(process.argv.slice(2))));
