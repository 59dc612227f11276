// Runs inside a test world. For each line on standard input it opens a new server on an emptied store and prints its socket.
import { createServer } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Server } from "../../src/server/server.ts";

export interface Order {
  /** What a loopback web server has to give, if one is wanted. */
  readonly http?:
    | { readonly base: string; readonly files: Readonly<Record<string, string>> }
    | undefined;
}

const scratch = process.cwd();
const files: { current: Readonly<Record<string, string>> } = { current: {} };
const web = createServer((request, response) => {
  const text = files.current[request.url ?? ""];
  response.statusCode = text === undefined ? 404 : 200;
  response.end(text ?? "not found\n");
});

let server: Server | undefined;
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line) as Order;
  await server?.close();
  rmSync("/opt/zb", { recursive: true, force: true });
  if (order.http !== undefined) {
    files.current = order.http.files;
    const { port, hostname } = new URL(order.http.base);
    if (!web.listening)
      await new Promise<void>((resolve) => web.listen(Number(port), hostname, resolve));
  }
  const directory = mkdtempSync(join(scratch, "server-"));
  server = await Server.open({
    directory: "/opt/zb/store",
    database: join(directory, "db.sqlite"),
    buildDirectory: directory,
    allowKeepFailed: true,
    disableSandbox: true,
    coresPerBuild: 1,
    durability: "process",
  });
  const path = join(directory, "socket");
  await server.listen({ path });
  console.log(path);
}
await server?.close();
web.close();
