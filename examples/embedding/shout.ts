// Builds a derivation that needs another one, and exports its output: node shout.ts "$PWD/here" > out
import { derivationExport, derivationPath, inputPlaceholder, outputPlaceholder } from "kiln-store";
import { KilnError, parseStorePath, Server, StoreClient, type StoreDerivation } from "kiln-store";

const folder = process.argv[2];
if (folder === undefined) {
  console.error('no folder for the store is given: node shout.ts "$PWD/here"');
  process.exit(2);
}
const directory = `${folder}/store`;
const sandboxPaths = new Map(
  ["/bin/sh", "/usr/bin/tr"].map((path) => [path, { alwaysPresent: true }]),
);
await using server = await Server.open({
  directory,
  database: `${directory}.sqlite`,
  sandboxPaths,
});
await using client = StoreClient.over(server.connect());

function shell(name: string, script: string, input?: StoreDerivation): StoreDerivation {
  const src = input === undefined ? [] : [derivationPath(input)];
  return {
    directory: server.store.directory,
    name,
    system: server.hello().system,
    builder: "/bin/sh",
    args: ["-c", script],
    env: new Map([
      ["out", outputPlaceholder("out")],
      ...src.map((drv) => ["src", inputPlaceholder(drv, "out")] as const),
    ]),
    inputDerivations: new Map(src.map((drv) => [drv, ["out"]])),
    inputSources: [],
    outputs: new Map([["out", { type: "floating", method: "recursive", hashType: "sha256" }]]),
  };
}

const hello = shell("hello", "echo Hello! > $out");
const shout = shell("shout", "/usr/bin/tr a-z A-Z < $src > $out", hello);
await client.importStream(derivationExport([hello, shout]));
const drvPath = derivationPath(shout);
const { buildID } = await client.call("zb.realize", { drvPath: [drvPath] });
await client.watch(buildID, (event) => console.error(event.type));
const { outputs } = await client.call("zb.getBuildResult", { buildID, drvPath });
const paths = outputs.flatMap(({ path }) => (path === null ? [] : [parseStorePath(path)]));
if (paths.length === 0) throw new KilnError("shout.failed", "kiln log shows why");
await server.export((chunk) => void process.stdout.write(chunk), { paths });
