import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const listener = fileURLToPath(new URL("network-listener.ts", import.meta.url));

/** A process that starts the listener, says its number, and waits; it takes nothing from it. */
const parent = `
  const { spawn } = require("node:child_process");
  const child = spawn(process.execPath, [${JSON.stringify(listener)}, "0", String(process.pid)], { stdio: ["ignore", "ignore", "ignore", "ipc"] });
  if (process.argv[1] === "wait") child.once("message", () => console.log(child.pid));
  else console.log(child.pid);
`;

for (const moment of ["wait", "at once"]) {
  test(`what listens for a builder ends with the daemon that started it: ${moment}`, async () => {
    const daemon = spawn(process.execPath, ["-e", parent, moment], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [said] = (await once(daemon.stdout, "data")) as [Buffer];
    const pid = Number(said.toString());
    assert.ok(existsSync(`/proc/${pid}`));
    daemon.kill("SIGKILL");
    const end = performance.now() + 20_000;
    while (existsSync(`/proc/${pid}`)) {
      assert.ok(performance.now() < end, "it is still there");
      await delay(20);
    }
  });
}
