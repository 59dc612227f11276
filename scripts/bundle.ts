// Puts the command into a few files, and the program of each thread into one: loading some 250 modules one by one takes several times as
// long as all the rest of a start. They are CommonJS: an ES module that imports one of Node's own has it make everything that it would
// otherwise make when it is used, which costs the daemon a quarter of its start and 7 MiB.
import { globSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { type InputOptions, type OutputOptions, rolldown } from "rolldown";

const input: InputOptions = {
  platform: "node",
  // Its native part is found from where it is installed, if it is.
  external: ["koffi"],
  // The form of a library that can be put together with others, where it has several.
  resolve: { mainFields: ["module", "main"] },
};
const output: OutputOptions = { format: "cjs", comments: false };

/**
 * Bundles `cli/main.js` of a compiled tree, with the libraries it uses, to `bundle/main.js` beside it. What a module finds by its own
 * place (programs, SQL files, threads) it goes on finding there: `import.meta.url` stays what it was.
 */
export async function bundleCommand(tree: string): Promise<void> {
  const root = resolve(tree);
  const target = join(root, "bundle");
  const bundle = await rolldown({
    ...input,
    input: { main: join(root, "cli", "main.js") },
    plugins: [
      {
        name: "own-place",
        transform(code, id) {
          if (!id.startsWith(root) || !code.includes("import.meta.url")) return null;
          const place = JSON.stringify(relative(target, id));
          return code.replaceAll("import.meta.url", `new URL(${place}, import.meta.url).href`);
        },
      },
    ],
  });
  const draft = join(root, "bundle.new");
  rmSync(draft, { recursive: true, force: true });
  const { output: files } = await bundle.write({
    ...output,
    dir: draft,
    chunkFileNames: "[name]-[hash].js",
  });
  await bundle.close();
  writeFileSync(join(draft, "package.json"), `${JSON.stringify({ type: "commonjs" })}\n`);
  const names = ["package.json", ...files.map(({ fileName }) => fileName)];
  // Old chunks stay for those that run and have yet to load them; `--clean` takes them away. The package is without them.
  writeFileSync(
    join(draft, ".npmignore"),
    ["*", ...names.map((name) => `!${name}`), ""].join("\n"),
  );
  // A command that starts meanwhile finds the old files or the new ones: the names of chunks tell what is in them.
  mkdirSync(target, { recursive: true });
  for (const name of [".npmignore", ...names].toSorted(mainLast)) {
    renameSync(join(draft, name), join(target, name));
  }
  rmSync(draft, { recursive: true });
}

/** Bundles each program of a thread in a compiled tree, `…-worker.js`, to a file of its own beside it, `…-worker.cjs`. */
export async function bundleThreads(tree: string): Promise<void> {
  for (const program of globSync(join(tree, "**/*-worker.js"))) {
    const file = program.replace(/js$/, "cjs");
    const bundle = await rolldown({ ...input, input: program });
    await bundle.write({ ...output, file: `${file}.new`, codeSplitting: false });
    await bundle.close();
    renameSync(`${file}.new`, file);
  }
}

function mainLast(a: string, b: string): number {
  return Number(a === "main.js") - Number(b === "main.js");
}
