import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, lstatSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { hasCode } from "../util/kiln-error.ts";
import { Listener, probeSocket } from "./listener.ts";

function echo(connection: Socket): void {
  connection.pipe(connection);
}

describe("the listener", () => {
  let folder = "";
  let path = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "kiln-listen-"));
    path = join(folder, "server.sock");
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  async function says(text: string): Promise<string> {
    const client = connect(path);
    client.end(text);
    let answer = "";
    for await (const chunk of client) answer += String(chunk);
    return answer;
  }

  test("accepts, with mode 0660, and takes its file away at the end", async () => {
    const listener = await Listener.open({ path }, echo);
    assert.equal(lstatSync(path).mode & 0o777, 0o660);
    assert.deepEqual(readdirSync(folder), ["server.sock"]);
    assert.equal(await says("hello"), "hello");
    listener.close();
    assert.ok(!existsSync(path));
  });

  test("gives the socket the mode that was asked for", async () => {
    const listener = await Listener.open({ path, mode: 0o777 }, echo);
    assert.equal(lstatSync(path).mode & 0o777, 0o777);
    listener.close();
  });

  test("leaves a living daemon's socket alone", async () => {
    const first = await Listener.open({ path }, echo);
    await assert.rejects(Listener.open({ path }, echo), (e) => hasCode(e, "socket.inUse"));
    assert.equal(await says("still here"), "still here");
    first.close();
  });

  test("replaces a socket whose daemon was killed", async () => {
    const dead = spawn(process.execPath, [
      "-e",
      `require("net").createServer().listen(${JSON.stringify(path)}, () => console.log("up"))`,
    ]);
    await once(dead.stdout, "data");
    dead.kill("SIGKILL");
    await once(dead, "exit");
    assert.equal(await probeSocket(path), "refused");
    const listener = await Listener.open({ path }, echo);
    assert.equal(await says("x"), "x");
    listener.close();
  });

  test("does not remove what another one put in its place", async () => {
    const first = await Listener.open({ path }, echo);
    rmSync(path);
    const second = createServer(echo).listen(path);
    await once(second, "listening");
    first.close();
    assert.ok(existsSync(path));
    second.close();
    await once(second, "close");
  });

  test("never overwrites a file that is no socket", async () => {
    writeFileSync(path, "precious");
    await assert.rejects(Listener.open({ path }, echo), (e) => hasCode(e, "socket.taken"));
    assert.equal(await probeSocket(path), "noSocket");
  });

  test("refuses a path that is too long, and a missing directory, in words", async () => {
    const long = join(folder, "x".repeat(120));
    await assert.rejects(Listener.open({ path: long }, echo), (e) => hasCode(e, "socket.tooLong"));
    await assert.rejects(
      Listener.open({ path: join(folder, "no", "s") }, echo),
      (e) => hasCode(e, "socket.listen") && /directory does not exist/.test(e.message),
    );
  });
});
