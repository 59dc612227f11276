#!/usr/bin/env node
/** The command `kiln`. What it loads is compiled once and kept in the user's own cache folder: that is a third of its start. */
import { enableCompileCache } from "node:module";
import { join } from "node:path";
import { xdgDirectory } from "./xdg.ts";

const cache = xdgDirectory(process.env, "XDG_CACHE_HOME", ".cache");
enableCompileCache(join(cache, "kiln", "compiled"));
const { run } = await import("./run.ts");
process.exit(await run(process.argv.slice(2)));
