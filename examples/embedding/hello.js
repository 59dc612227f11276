// Builds a derivation in a store below the given folder, and prints what came out: node hello.js "$PWD/here"
import { readFileSync } from "node:fs";
import {
  derivationExport,
  derivationPath,
  outputPlaceholder,
  Server,
  StoreClient,
} from "kiln-store";

const folder = process.argv[2];
if (folder === undefined) {
  console.error('no folder for the store is given: node hello.js "$PWD/here"');
  process.exit(2);
}
const directory = `${folder}/store`;
const sandboxPaths = new Map([["/bin/sh", { alwaysPresent: true }]]);
await using server = await Server.open({
  directory,
  database: `${directory}.sqlite`,
  sandboxPaths,
});
const hello = {
  directory: server.store.directory,
  name: "hello",
  system: server.hello().system,
  builder: "/bin/sh",
  args: ["-c", "echo Hello! > $out"],
  env: new Map([["out", outputPlaceholder("out")]]),
  inputDerivations: new Map(),
  inputSources: [],
  outputs: new Map([["out", { type: "floating", method: "recursive", hashType: "sha256" }]]),
};
await using client = StoreClient.over(server.connect());
await client.importStream(derivationExport([hello]));
const drvPath = derivationPath(hello);
const { buildID } = await client.call("zb.realize", { drvPath: [drvPath] });
await client.watch(buildID, (event) => console.log(event.type));
const { outputs } = await client.call("zb.getBuildResult", { buildID, drvPath });
console.log(readFileSync(outputs[0].path, "utf8"));
