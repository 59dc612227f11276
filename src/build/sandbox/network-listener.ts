// Runs in a build's network namespace for a moment: opens a listening socket there and hands it to its parent.
import { createServer } from "node:net";

const [port, daemon] = process.argv.slice(2).map(Number);

// A parent that was killed tells nothing: the channel to it may seem to stay as it was.
setInterval(() => {
  if (process.ppid !== daemon) process.exit();
}, 100);

const server = createServer();
server.listen(port, "127.0.0.1", () => {
  process.send?.("listening", server);
});
