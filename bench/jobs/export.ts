/** Objects out. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { many } from "../../test/support/brief.ts";
import { type Figure, type Job, MB, receive, seconds, send } from "../job.ts";
import { closure } from "../objects.ts";
import { largeObject, smallObjects } from "./import.ts";

const count = many(1000);

/** A client that looks at nothing of an export but how long it is; it prints the seconds that so many bytes took. */
const counting = `
  const [socket, path, size] = process.argv.slice(1);
  const body = JSON.stringify({ jsonrpc: "2.0", id: "1", method: "zb.export", params: { paths: [path] } });
  const head = "Content-Length: " + body.length + "\\r\\nContent-Type: application/zb-store-rpc+json\\r\\n\\r\\n";
  const connection = require("node:net").connect(socket, () => connection.write(head + body));
  const begin = performance.now();
  let bytes = 0;
  connection.on("data", (chunk) => {
    bytes += chunk.length;
    if (bytes < Number(size)) return;
    console.log((performance.now() - begin) / 1000);
    connection.destroy();
  });
`;

/** One that is far larger than what fits into any buffer; and the same once more, to a client that keeps what it gets. */
export const exportLarge: Job = {
  name: "export one object of 512 MiB",
  async run(bench) {
    const object = largeObject();
    const client = await bench.client();
    await send(bench, client, [object]);
    const size = object.bytes.length;
    const args = ["-e", counting, bench.socket, object.path, String(size)];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
    const time = await seconds(() => receive(client, [object.path]));
    return [
      { what: "export one object", value: size / MB / Number(stdout), unit: "MB/s" },
      { what: "export one object, kept", value: size / MB / time, unit: "MB/s" },
    ];
  },
  async nix(nix) {
    const object = largeObject();
    await nix.import([object]);
    const time = await seconds(() => nix.export([object.path]));
    return [{ what: "export one object", value: object.bytes.length / MB / time, unit: "MB/s" }];
  },
};

/** A thousand small ones. */
export const exportSmall: Job = {
  name: "export 1,000 objects of 4 KiB",
  async run(bench) {
    const objects = smallObjects(count);
    const client = await bench.client();
    await send(bench, client, objects);
    const paths = objects.map(({ path }) => path);
    const time = await seconds(() => receive(client, paths));
    return [{ what: "export small objects", value: count / time, unit: "objects/s" }];
  },
  async nix(nix) {
    const objects = smallObjects(count);
    await nix.import(objects);
    const paths = objects.map(({ path }) => path);
    const time = await seconds(() => nix.export(paths));
    return [{ what: "export small objects", value: count / time, unit: "objects/s" }];
  },
};

const shapes = ["chain", "wide"] as const;

/** Closures of which only the top is named: a chain, and one that all refer to. */
export const exportClosures: Job = {
  name: "export closures of 1,000 objects",
  async run(bench) {
    const client = await bench.client();
    const figures: Figure[] = [];
    for (const shape of shapes) {
      const objects = closure(shape, count);
      await send(bench, client, objects);
      const time = await seconds(() => receive(client, [objects.at(-1)!.path]));
      figures.push({ what: `export a closure, ${shape}`, value: count / time, unit: "objects/s" });
    }
    return figures;
  },
  async nix(nix) {
    const figures: Figure[] = [];
    for (const shape of shapes) {
      const objects = closure(shape, count);
      await nix.import(objects);
      const time = await seconds(async () => {
        const query = ["--query", "--requisites", objects.at(-1)!.path];
        const { stdout } = await nix.run("nix-store", query);
        await nix.export(stdout.toString().trim().split("\n") as (typeof objects)[0]["path"][]);
      });
      figures.push({ what: `export a closure, ${shape}`, value: count / time, unit: "objects/s" });
    }
    return figures;
  },
};
