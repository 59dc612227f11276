import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Derivation } from "../format/derivation/derivation.ts";
import { derivationExport } from "../format/derivation/archive.ts";
import { ownPlaceholder } from "../format/derivation/placeholders.ts";
import { derivationObject } from "../format/derivation/print.ts";
import { exportEnd, type ExportTrailer } from "../format/export-stream.ts";
import { NarWriter } from "../format/nar/writer.ts";
import { parseStoreDirectory, type StorePath } from "../format/store-path.ts";
import { StoreClient } from "../rpc/client.ts";
import { hasCode } from "../util/kiln-error.ts";
import type { ServerOptions } from "./options.ts";
import { Server } from "./server.ts";

/** A store of its own for a test. */
class Home implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "kiln-server-"));
  readonly store: string = join(this.folder, "store");

  async open(options: Partial<ServerOptions> = {}): Promise<Server> {
    return await Server.open({
      directory: this.store,
      database: join(this.folder, "db.sqlite"),
      buildDirectory: this.folder,
      durability: "process",
      disableSandbox: true,
      ...options,
    });
  }

  derivation(name: string, script: string, inputs: readonly StorePath[] = []): Derivation {
    const env = { PATH: "/bin:/usr/bin", out: ownPlaceholder("out") };
    return {
      directory: parseStoreDirectory(this.store),
      name,
      inputDerivations: new Map(inputs.map((path) => [path, ["out"]])),
      inputSources: [],
      system: process.arch === "x64" ? "x86_64-linux" : "aarch64-linux",
      builder: "/bin/sh",
      args: ["-c", script],
      env: new Map(Object.entries(env)),
      outputs: new Map([["out", { type: "floating", method: "recursive", hashType: "sha256" }]]),
    };
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A derivation's file as a NAR and what follows it in an export. */
function packed(derivation: Derivation): {
  nar: Buffer;
  trailer: ExportTrailer;
} {
  const { path, contents, ca, references } = derivationObject(derivation);
  const chunks: Buffer[] = [];
  const nar = new NarWriter((chunk) => chunks.push(Buffer.from(chunk)));
  nar.file("", false, contents.length);
  nar.data(contents);
  nar.endFile();
  nar.end();
  return { nar: Buffer.concat(chunks), trailer: { storePath: path, references, deriver: "", ca } };
}

function streamOf(...derivations: readonly Derivation[]): Buffer[] {
  return [...derivationExport(derivations)];
}

/** The beginning of a 64-bit program for macOS with one load command. */
function machoFile(): Buffer {
  const header = Buffer.alloc(32 + 24);
  const words = [0xfeedfacf, 0x01000007, 3, 2, 1, 24, 0, 0, 0x1b, 24];
  for (const [at, word] of words.entries()) header.writeUInt32LE(word, at * 4);
  return header;
}

async function finished(client: StoreClient, buildID: string): Promise<string> {
  await client.watch(buildID, () => {});
  return (await client.call("zb.getBuild", { buildID })).status;
}

describe("an embedded server", () => {
  test("imports, builds, tells what happens, and gives the result", async () => {
    using home = new Home();
    await using server = await home.open();
    await using client = StoreClient.over(server.connect());
    const derivation = home.derivation("hello", "echo building; echo hi > $out");
    const { path: drvPath } = derivationObject(derivation);
    await client.importStream(streamOf(derivation));
    const { reports } = await client.call("kiln.importReport", {});
    assert.deepEqual(reports, [{ storePath: drvPath, status: "imported" }]);
    assert.deepEqual(await client.call("kiln.importReport", {}), { reports: [] });

    const { buildID } = await client.call("zb.realize", {
      drvPath: [drvPath],
      targets: [{ name: "greeting", drvPath }],
    });
    const types: string[] = [];
    let logged = "";
    await client.watch(
      buildID,
      (event) => {
        types.push(event.type);
        if (event.type === "log" && "text" in event) logged += String(event.text);
      },
      { logs: "all" },
    );
    assert.equal(types[0], "build.started");
    assert.equal(types.at(-1), "build.finished");
    assert.ok(types.lastIndexOf("log") < types.indexOf("result.finished"));
    assert.equal(logged, "building\n");
    const result = await client.call("zb.getBuildResult", { buildID, drvPath });
    const [output] = result.outputs;
    assert.equal(readFileSync(output?.path ?? "", "utf8"), "hi\n");
    assert.deepEqual(server.recentBuildIDs(5), [buildID]);
    assert.deepEqual(server.recentBuildIDs(0), []);
    const { builds } = await client.call("kiln.builds", {});
    assert.deepEqual(
      builds.map(({ id, targets }) => [id, targets[0]?.name]),
      [[buildID, "greeting"]],
    );
    const { results } = await client.call("kiln.results", { buildID });
    assert.deepEqual(
      results.map(({ name, state, reason }) => [name, state, reason?.code]),
      [["hello", "built", "neverRealised"]],
    );
  });

  test("says who it is", async () => {
    using home = new Home();
    await using server = await home.open({ jobs: 7, sandboxPaths: new Map([["/bin/sh", {}]]) });
    await using client = StoreClient.over(server.connect());
    const hello = await client.hello();
    assert.equal(hello?.name, "kiln");
    assert.equal(hello?.jobs, 7);
    assert.equal(hello?.storeDirectory, home.store);
    assert.deepEqual(hello?.systemDeps, ["/bin/sh"]);
    assert.equal(hello?.sandbox, "none");
  });

  test("answers calls without a connection, but has nowhere to export to then", async () => {
    using home = new Home();
    await using server = await home.open();
    assert.equal(await server.handle({ method: "zb.exists", params: { path: "x" } }), false);
    assert.equal(await server.handle({ method: "zb.nop" }), null);
    await assert.rejects(server.handle({ method: "zb.what" }), (e) => hasCode(e, "rpc.method"));
    await assert.rejects(server.handle({ method: "zb.info", params: { path: "x" } }), (e) =>
      hasCode(e, "rpc.params"),
    );
    assert.deepEqual(await server.handle({ method: "zb.info", params: {} }), { info: null });
    await assert.rejects(server.handle({ method: "zb.readLog", params: { buildID: "x" } }), (e) =>
      hasCode(e, "log.unknown"),
    );
    await assert.rejects(
      server.handle({ method: "zb.export", params: { paths: [] } }),
      /no exporter in context/,
    );
    const chunks: Buffer[] = [];
    await server.handle({
      method: "zb.export",
      params: { paths: [] },
      exporter: {
        export: async (_headers, stream) => {
          for await (const chunk of stream) chunks.push(chunk);
        },
      },
    });
    assert.deepEqual(Buffer.concat(chunks), exportEnd());
  });

  test("takes objects one by one, and reports on each", async () => {
    using home = new Home();
    await using server = await home.open();
    const { nar, trailer } = packed(home.derivation("a", ":"));
    await using receiver = server.narReceiver();
    assert.equal(receiver.write(Buffer.concat([nar, Buffer.from("more")])), nar.length);
    const report = await receiver.receiveNAR(trailer);
    assert.deepEqual(report, { storePath: trailer.storePath, status: "imported" });
    receiver.write(nar);
    assert.equal((await receiver.receiveNAR(trailer)).status, "present");
    receiver.write(nar);
    const wrong = await receiver.receiveNAR({ ...trailer, references: [trailer.storePath] });
    assert.equal(wrong.status, "rejected");
  });

  test("takes objects with storage of the sender's own, until the sender is gone", async () => {
    using home = new Home();
    await using server = await home.open();
    const stop = new AbortController();
    const receiver = server.narReceiver({
      buffers: (size) => Buffer.alloc(size),
      signal: stop.signal,
    });
    const { nar, trailer } = packed(home.derivation("a", ":"));
    receiver.write(nar.subarray(0, 40));
    await assert.rejects(receiver.receiveNAR(trailer), (e) => hasCode(e, "nar.truncated"));
    await receiver[Symbol.asyncDispose]();
    await receiver[Symbol.asyncDispose]();
    assert.equal(server.store.has(derivationObject(home.derivation("a", ":")).path), false);
    // What was not complete goes in the background.
    const left = (): string[] => readdirSync(server.store.temporaryDirectory);
    for (let tries = 0; left().length > 0 && tries < 2000; tries++) await delay(5);
    assert.deepEqual(left(), []);
  });

  test("exports what it imported, to the byte, and deletes it", async () => {
    using home = new Home();
    await using server = await home.open();
    const first = home.derivation("first", ":");
    const { path } = derivationObject(first);
    const second = home.derivation("second", ":", [path]);
    const stream = Buffer.concat(streamOf(first, second));
    await using client = StoreClient.over(server.connect());
    await client.importStream([stream]);
    await client.barrier();
    const whole = derivationObject(second).path;
    const chunks: Buffer[] = [];
    await server.export((chunk) => void chunks.push(chunk), { paths: [whole] });
    assert.ok(Buffer.concat(chunks).equals(stream));
    await assert.rejects(server.delete([path]), (e) => hasCode(e, "store.hasReferrers"));
    assert.deepEqual(await server.deleteIncludingReferences([path]), [whole, path]);
    assert.deepEqual(await server.delete([]), []);
    assert.ok(!existsSync(path));
    await assert.rejects(
      server.export(() => {}, { paths: [whole] }),
      (e) => hasCode(e, "store.missing"),
    );
  });

  test("registers what lies in the store directory when it is what was said", async () => {
    using home = new Home();
    await using server = await home.open();
    const derivation = home.derivation("a", ":");
    const { path } = derivationObject(derivation);
    await using client = StoreClient.over(server.connect());
    await client.importStream(streamOf(derivation));
    await client.barrier();
    const info = server.store.info(path);
    assert.ok(info);
    await server.register(info);
    await assert.rejects(server.register({ ...info, narSize: info.narSize + 8 }), (e) =>
      hasCode(e, "store.conflict"),
    );
  });

  test("lets whoever embeds it end a build", async () => {
    using home = new Home();
    const stop = new AbortController();
    await using server = await home.open({ buildContext: () => ({ signal: stop.signal }) });
    await using client = StoreClient.over(server.connect());
    const derivation = home.derivation("slow", "echo started; exec sleep 60");
    await client.importStream(streamOf(derivation));
    const drvPath = derivationObject(derivation).path;
    const { buildID } = await client.call("zb.realize", { drvPath: [drvPath] });
    await client.watch(buildID, (event) => event.type === "log" && stop.abort(), { logs: "all" });
    assert.equal((await client.call("zb.getBuild", { buildID })).status, "error");
  });

  test("is told by a hook what to write with everything about a build", async () => {
    using home = new Home();
    const said: unknown[] = [];
    await using server = await home.open({
      buildContext: (id) => ({ logFields: { build: id, tenant: "a" } }),
      log: (...line) => said.push(line),
    });
    await using client = StoreClient.over(server.connect());
    const derivation = home.derivation("hello", ": > $out");
    await client.importStream(derivationExport([derivation]));
    const drvPath = derivationObject(derivation).path;
    const { buildID } = await client.call("zb.realize", { drvPath: [drvPath] });
    await finished(client, buildID);
    const fields = { build: buildID, tenant: "a" };
    assert.deepEqual(said, [
      ["debug", `build ${buildID}: began: hello`, fields],
      ["debug", `build ${buildID}: built`, fields],
    ]);
  });

  test("keeps builders' logs beside the database, unless told otherwise", async () => {
    using home = new Home();
    for (const logDirectory of [undefined, join(home.folder, "elsewhere")]) {
      await using server = await home.open({ logDirectory });
      await using client = StoreClient.over(server.connect());
      const derivation = home.derivation(
        `log-${logDirectory ?? ""}`.replaceAll("/", "-"),
        "exit 1",
      );
      await client.importStream(derivationExport([derivation]));
      const drvPath = derivationObject(derivation).path;
      const { buildID } = await client.call("zb.realize", { drvPath: [drvPath] });
      assert.equal(await finished(client, buildID), "fail");
      const folder = logDirectory ?? join(home.folder, "log");
      assert.ok(
        existsSync(join(folder, buildID.slice(0, 4), buildID, `${basename(drvPath, ".drv")}.txt`)),
      );
    }
  });

  test("answers while more builders run than zb would have connections", async () => {
    using home = new Home();
    const jobs = 12;
    await using server = await home.open({ jobs, databasePoolSize: 1 });
    await using client = StoreClient.over(server.connect());
    const go = join(home.folder, "go");
    const slow = Array.from({ length: jobs }, (_, i) =>
      home.derivation(`slow-${i}`, `echo up; until [ -e ${go} ]; do sleep 0.05; done; : > $out`),
    );
    await client.importStream(derivationExport(slow));
    const drvPath = slow.map((derivation) => derivationObject(derivation).path);
    const { buildID } = await client.call("zb.realize", { drvPath });
    const allUp = Promise.withResolvers<void>();
    let up = 0;
    const watching = client.watch(
      buildID,
      (event) => event.type === "log" && ++up === jobs && allUp.resolve(),
      { logs: "all" },
    );
    await allUp.promise;
    assert.equal(await client.call("zb.exists", { path: drvPath[0] ?? "" }), true);
    writeFileSync(go, "");
    await watching;
    assert.equal((await client.call("zb.getBuild", { buildID })).status, "success");
  });

  test("tells builders how many cores they may use", async () => {
    using home = new Home();
    await using server = await home.open({ coresPerBuild: 3 });
    await using client = StoreClient.over(server.connect());
    const derivation = home.derivation("cores", "echo $ZB_BUILD_CORES > $out");
    await client.importStream(derivationExport([derivation]));
    const drvPath = derivationObject(derivation).path;
    const { buildID } = await client.call("zb.realize", { drvPath: [drvPath] });
    assert.equal(await finished(client, buildID), "success");
    const { outputs } = await client.call("zb.getBuildResult", { buildID, drvPath });
    assert.equal(readFileSync(outputs[0]?.path ?? "", "utf8"), "3\n");
  });

  test("shows no builder whose store is not where its paths say", async () => {
    using home = new Home();
    await using server = await home.open({ realStoreDirectory: join(home.folder, "real") });
    await using client = StoreClient.over(server.connect());
    const derivation = home.derivation("elsewhere", ":");
    await client.importStream(derivationExport([derivation]));
    const drvPath = derivationObject(derivation).path;
    const params = { drvPath, temporaryDirectory: "/tmp" };
    await assert.rejects(client.call("zb.expand", params), /only be expanded where the store lies/);
    const { buildID } = await client.call("zb.realize", { drvPath: [drvPath] });
    assert.equal(await finished(client, buildID), "error");
  });

  test("tells which objects it has, when asked to fetch", async () => {
    using home = new Home();
    await using server = await home.open();
    await using client = StoreClient.over(server.connect());
    const [here, absent] = [home.derivation("here", ":"), home.derivation("absent", ":")];
    await client.importStream(derivationExport([here]));
    const paths = [here, absent].map((derivation) => derivationObject(derivation).path);
    const { found } = await client.call("zb.fetch", { paths });
    assert.deepEqual(Object.keys(found), paths.slice(0, 1));
  });

  test("analyses Mach-O files of an import with the storage it is given", async () => {
    using home = new Home();
    const sizes: number[] = [];
    await using server = await home.open({
      contentAddressBuffers: (size) => {
        sizes.push(size);
        return Buffer.alloc(size);
      },
    });
    // An object of one file that names the object's digest in a load command, and where it begins: enough to be analysed.
    const contents = machoFile();
    const chunks: Buffer[] = [];
    const nar = new NarWriter((chunk) => chunks.push(Buffer.from(chunk)));
    nar.file("", true, contents.length);
    nar.data(contents);
    nar.endFile();
    nar.end();
    await using receiver = server.narReceiver();
    receiver.write(Buffer.concat(chunks));
    const storePath = `${home.store}/${"a".repeat(32)}-tool`;
    const references = [storePath];
    await receiver.receiveNAR({ storePath, references, deriver: "", ca: undefined });
    assert.ok(sizes.length > 0);
  });

  test("is closed to the end where nothing else is done, though a client in the process stops amid a message", () => {
    using home = new Home();
    const options = {
      directory: home.store,
      database: join(home.folder, "db.sqlite"),
      buildDirectory: home.folder,
      durability: "process",
      disableSandbox: true,
    };
    const script = `
      import { Server } from ${JSON.stringify(new URL("server.ts", import.meta.url).href)};
      const server = await Server.open(${JSON.stringify(options)});
      server.connect().write("Content-Length: 10");
      await server.close();
      console.log("it is closed");
    `;
    const args = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", script];
    assert.equal(execFileSync(process.execPath, args, { encoding: "utf8" }), "it is closed\n");
  });

  test("refuses new builds while it drains, and lets the running one end", async () => {
    using home = new Home();
    await using server = await home.open();
    await using client = StoreClient.over(server.connect());
    const go = join(home.folder, "go");
    const slow = home.derivation("slow", `while ! [ -e ${go} ]; do sleep 0.05; done; : > $out`);
    await client.importStream(streamOf(slow));
    const params = { drvPath: [derivationObject(slow).path] };
    const { buildID } = await client.call("zb.realize", params);
    const drained = server.drain();
    await assert.rejects(client.call("zb.realize", params), /server shutting down/);
    await assert.rejects(client.call("kiln.verify", { repair: true }), /server shutting down/);
    assert.deepEqual((await client.call("kiln.verify", {})).damaged, []);
    await client.importStream(streamOf(home.derivation("other", ":"))); // other requests go on
    writeFileSync(go, "");
    assert.equal(await finished(client, buildID), "success");
    await drained;
  });

  test("ends running builds when it is closed, and the store can be opened again", async () => {
    using home = new Home();
    const server = await home.open();
    const client = StoreClient.over(server.connect());
    const derivation = home.derivation("slow", "echo started; exec sleep 60");
    await client.importStream(streamOf(derivation));
    const drvPath = derivationObject(derivation).path;
    const { buildID } = await client.call("zb.realize", { drvPath: [drvPath] });
    const started = Promise.withResolvers<void>();
    const watching = client.watch(buildID, (e) => e.type === "log" && started.resolve(), {
      logs: "all",
    });
    await started.promise;
    await Promise.all([server.close(), server.close()]);
    await watching.catch(() => {});
    await client.close();
    await using again = await home.open();
    const build = await again.handle({ method: "zb.getBuild", params: { buildID } });
    assert.equal((build as { status: string }).status, "error");
  });

  test("is refused a store that is open", async () => {
    using home = new Home();
    await using _server = await home.open();
    await assert.rejects(home.open(), (e) => hasCode(e, "store.locked"));
  });

  test("is refused two build users of one uid", async () => {
    using home = new Home();
    const buildUsers = [
      { uid: 7, gid: 7 },
      { uid: 7, gid: 8 },
    ];
    await assert.rejects(home.open({ buildUsers }), (e) => hasCode(e, "users.duplicate"));
    assert.ok(!existsSync(home.store));
  });
});

describe("a listening server", () => {
  test("keeps what one client does from others", async () => {
    using home = new Home();
    await using server = await home.open();
    const path = join(home.folder, "s");
    await server.listen({ path });
    const rude = connectSocket(path);
    rude.write("GARBAGE\r\n\r\n\0\0\0");
    await using polite = await StoreClient.connect(path);
    assert.equal((await polite.hello())?.storeDirectory, home.store);
    rude.destroy();
    assert.equal(await polite.call("zb.nop", {}), null);
  });

  test("answers what was asked before it closes", async () => {
    using home = new Home();
    const server = await home.open();
    const path = join(home.folder, "s");
    await server.listen({ path });
    const client = await StoreClient.connect(path);
    await client.hello();
    const closing = server.close();
    await client.closed;
    await closing;
    assert.ok(!existsSync(path));
  });
});
