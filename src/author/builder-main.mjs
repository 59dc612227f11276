// Runs the script of a nodeBuild(): joins attrs, imports the script, calls what it exports by default.
// Its text is an input of every such derivation, so it never changes; what must change becomes kiln-builder-2.mjs.
import { pathToFileURL } from "node:url";

const { argv, env } = process;
let attrs = env.attrs ?? "";
for (let i = 1; env[`attrs${i}`] !== undefined; i++) attrs += env[`attrs${i}`];
const names = (env.outputs ?? "out").split(" ");
const outputs = Object.fromEntries(names.map((name) => [name, env[name]]));
const { default: build } = await import(pathToFileURL(argv[2]).href);
if (typeof build !== "function") {
  console.error(`${argv[2]} has no function as its default export`);
  process.exit(1);
}
await build({
  attrs: attrs === "" ? undefined : JSON.parse(attrs),
  out: outputs.out ?? outputs[names[0]],
  outputs,
  args: argv.slice(3),
  work: process.cwd(),
});
