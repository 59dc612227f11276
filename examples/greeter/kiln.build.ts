// A small TypeScript application: compiled, tested, and packed only when the tests pass.
//
//   kiln build examples/greeter          the tarball
//   kiln build examples/greeter#dist     what the compiler makes
//   kiln build examples/greeter#test     the tests' report
import {
  currentSystem,
  derivation,
  installed,
  nodeBuild,
  path,
  placeholder,
  readJson,
  sources,
} from "kiln-store";

const { name, version } = readJson<{ name: string; version: string }>("./app/package.json");
const app = sources("./app", { name: `${name}-src`, exclude: ["dist/**"] });

// TypeScript 7 is one static program, in a package for each platform.
const typescript = `@typescript/typescript-linux-${currentSystem.startsWith("aarch64") ? "arm64" : "x64"}`;
const modules = installed(["@types/node", typescript]);

export const dist = derivation({
  name: `${name}-dist`,
  builder: `${modules}/node_modules/${typescript}/lib/tsc`,
  // prettier-ignore
  args: [
    "--project", `${app}/tsconfig.json`,
    "--typeRoots", `${modules}/node_modules/@types`,
    "--outDir", placeholder(),
  ],
});

export const test = nodeBuild({
  name: `${name}-test`,
  script: path("./build/run-tests.ts"),
  attrs: { app, dist },
});

export default nodeBuild({
  name: `${name}-${version}.tgz`,
  script: path("./build/pack.ts"),
  attrs: { "package.json": `${app}/package.json`, dist },
  env: { test },
});
