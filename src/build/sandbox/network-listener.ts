// Runs in a build's network namespace for a moment: opens a listening socket there and hands it to its parent.
import { createServer } from "node:net";

const server = createServer();
server.listen(Number(process.argv[2]), "127.0.0.1", () => {
  process.send?.("listening", server);
});
