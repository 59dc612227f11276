/** `kiln init`: a folder where the editor knows what build files can say, without installing anything. */
import { copyFileSync, existsSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { makeFolders } from "../../files/make-folders.ts";
import { attempt } from "../../files/file-error.ts";
import { writeWholeFile } from "../../files/whole-file.ts";
import { KilnError } from "../../util/kiln-error.ts";
import { type CommandContext, say } from "../context.ts";
import type { GlobalFlags } from "../settings.ts";

export interface InitFlags {
  readonly json?: boolean;
}

/** Kiln's folder in a project; it can be made again, and is not for version control. */
const ownFolder = ".kiln";

/** What stands in a project that has no build file yet. */
export const firstBuild = `import { derivation } from "kiln-store";

/** kiln build */
export default derivation({
  name: "hello.txt",
  builder: "/bin/sh",
  // For other programs: systemDeps: ["/bin", "/lib", "/lib64", "/usr"], env: { PATH: "/bin:/usr/bin" }
  systemDeps: ["/bin/sh"],
  args: ["-c", "echo Hello! > $out"],
});
`;

const compilerOptions = {
  target: "es2024",
  lib: ["es2024", "esnext.disposable"],
  // Kiln takes build files for modules, whatever package.json says.
  module: "preserve",
  types: [],
  noEmit: true,
  strict: true,
  skipLibCheck: true,
  verbatimModuleSyntax: true,
  erasableSyntaxOnly: true,
  allowImportingTsExtensions: true,
};

/** Writes what is missing; `.kiln` is written anew. Files of the user's stay as they are. */
export async function init(
  operands: readonly string[],
  flags: InitFlags & GlobalFlags,
  context: CommandContext,
): Promise<void> {
  const folder = resolve(operands[0] ?? ".");
  const written: string[] = [];
  const write = (name: string, text: string): void => {
    makeFolders(dirname(join(folder, name)));
    attempt("write", join(folder, name), () => writeWholeFile(join(folder, name), text));
    written.push(name);
  };
  const types = join(folder, ownFolder, "types");
  rmSync(types, { recursive: true, force: true });
  const declarations = attempt("write", types, () => copyDeclarations(types));
  write(`${ownFolder}/kiln-store.d.ts`, `export * from "./types/${declarations}";\n`);
  write(`${ownFolder}/.gitignore`, "*\n");
  const paths = { "kiln-store": [`./${ownFolder}/kiln-store.d.ts`] };
  const config = join(folder, "tsconfig.json");
  if (existsSync(config)) {
    const isNamed = attempt("read", config, () => readFileSync(config, "utf8")).includes(
      `${ownFolder}/kiln-store.d.ts`,
    );
    if (!isNamed)
      context.note(`tsconfig.json is yours: add "paths": ${JSON.stringify(paths)} to its options`);
  } else {
    const include = ["kiln.build.ts"];
    const content = { compilerOptions: { ...compilerOptions, paths }, include };
    write("tsconfig.json", `${JSON.stringify(content, null, 2)}\n`);
  }
  if (!existsSync(join(folder, "kiln.build.ts"))) write("kiln.build.ts", firstBuild);
  for (const name of written) {
    if (flags.json === true) say(JSON.stringify({ written: join(folder, name) }));
    else context.note(`wrote ${join(folder, name)}`);
  }
}

/** Copies the declarations of what build files import, and those they need; gives the first one's place, as it is imported. */
function copyDeclarations(target: string): string {
  try {
    return copyFrom(declarationsOfKiln(), target);
  } catch (error) {
    // Half of them would tell the editor of mistakes that are none.
    rmSync(target, { recursive: true, force: true });
    throw error;
  }
}

function copyFrom(root: string, target: string): string {
  const first = join(root, "author/api.d.ts");
  const pending = [first];
  const seen = new Set(pending);
  for (const file of pending) {
    const copy = join(target, relative(root, file));
    makeFolders(dirname(copy));
    copyFileSync(file, copy);
    for (const [, name = ""] of readFileSync(file, "utf8").matchAll(
      /(?:from |import\()"(\.[^"]+)"/g,
    )) {
      const next = join(dirname(file), name).replace(/\.[jt]s$/, ".d.ts");
      if (seen.has(next)) continue;
      seen.add(next);
      pending.push(next);
    }
  }
  return "author/api.ts";
}

/** Where this Kiln's declarations lie. */
function declarationsOfKiln(): string {
  for (let at = import.meta.dirname; at !== dirname(at); at = dirname(at)) {
    const found = [at, join(at, "dist")].find((root) => existsSync(join(root, "author/api.d.ts")));
    if (found !== undefined) return found;
  }
  throw new KilnError("init.types", "this Kiln was installed without its types", {
    kind: "internal",
    hint: "npm install --save-dev kiln-store",
  });
}
