// Who may do what, on which socket. As root it also tries strangers and members of a group; a plain user is everybody there is.
import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { credentialReader } from "../src/server/peer-credentials.ts";
import { StoreClient } from "../src/rpc/client.ts";
import { KilnError } from "../src/util/kiln-error.ts";
import { hostFolders, Place, shellTargets, type Started, until } from "./support/cli.ts";
import { type Ended, kilnProgram } from "./support/world.ts";

const isRoot = process.getuid?.() === 0;
const needsRoot = isRoot ? false : "only root can run programs as others";

/** A user without a name, who is nobody's friend; a group that is trusted. */
const stranger = 54_321;
const trusted = 65_534; // nogroup

describe("on the daemon's sockets", () => {
  const place = new Place();
  const admin = join(place.directory, "admin.sock");
  const token = join(place.directory, "var/page/ui-token");
  const readers = join(place.directory, "readers.sock");
  let daemon: Started;
  let path = "";

  /** Runs `kiln` as somebody else, with a home of their own. */
  async function as(
    groups: readonly number[],
    args: readonly string[],
    socket = place.socket,
  ): Promise<Ended> {
    const groupFlag = groups.length === 0 ? "--clear-groups" : `--groups=${groups.join(",")}`;
    const child = spawn(
      "setpriv",
      [
        `--reuid=${stranger}`,
        `--regid=${stranger}`,
        groupFlag,
        "--",
        kilnProgram,
        "--store-socket",
        socket,
        ...args,
      ],
      {
        cwd: place.project,
        stdio: ["ignore", "pipe", "pipe"],
        env: {
          PATH: process.env["PATH"],
          HOME: "/nonexistent",
          ZB_STORE_DIR: place.store,
          LANG: "C.UTF-8",
        },
      },
    );
    const [out, err]: [Buffer[], Buffer[]] = [[], []];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    await once(child, "close");
    return {
      code: child.exitCode,
      signal: child.signalCode,
      stdout: Buffer.concat(out),
      stderr: Buffer.concat(err).toString(),
    };
  }

  before(async () => {
    chmodSync(place.directory, 0o755);
    place.write(
      "kiln.build.ts",
      shellTargets({
        default: "echo hi > $out",
        slow: "echo started; sleep 60",
        bad: "echo secret > note; exit 1",
      }),
    );
    const flags = [
      `--sandbox-path=${hostFolders.join(" ")}`,
      "--socket-mode=0666",
      `--trusted-group=${isRoot ? trusted : String(process.getgid?.())}`,
      `--admin-socket=${admin}`,
      `--read-only-socket=${readers}`,
      "--ui=localhost:0",
      `--ui-token-file=${token}`,
    ];
    daemon = await place.serve(flags, { through: ["sh", "-c", 'umask 0; exec "$@"', "sh"] });
    const built = await place.run(["build", "-o", "result"]);
    assert.equal(built.code, 0, built.stderr);
    path = built.stdout.toString().trim();
  });
  after(async () => await place[Symbol.asyncDispose]());

  test("the system tells who connects", async () => {
    assert.notEqual(await credentialReader(), undefined);
    const ended = await place.run(["ps", "-a", "--json"]);
    const [build] = ended.stdout
      .toString()
      .split("\n")
      .map((line) => line && (JSON.parse(line) as { user: string }));
    assert.equal(typeof build === "object" && build.user, `uid ${process.getuid?.()}`);
  });

  test("each socket has its mode", () => {
    for (const [socket, mode] of [
      [place.socket, 0o666],
      [admin, 0o600],
      [readers, 0o666],
    ] as const) {
      assert.equal(statSync(socket).mode & 0o777, mode);
    }
  });

  test("nobody else can write to what the daemon made, nor read its database and its token, whatever its umask", async () => {
    await until(daemon, () => existsSync(token));
    const made = [place.store, join(place.directory, "var")].flatMap((top) =>
      [
        top,
        ...readdirSync(top, { recursive: true, encoding: "utf8" }).map((name) => join(top, name)),
      ].map((path) => ({ path, stats: lstatSync(path) })),
    );
    const open = made.filter(
      ({ stats }) => (stats.isFile() || stats.isDirectory()) && (stats.mode & 0o022) !== 0,
    );
    // The sticky bit keeps members of its group from each other's things, and they are the builders.
    assert.deepEqual(
      open.map(({ path, stats }) => [path, stats.mode & 0o7777]),
      [[place.store, 0o1775]],
    );
    const secret = made.filter(({ path }) => /\/(ui-token|db\.sqlite[^/]*)$/.test(path));
    assert.deepEqual(new Set(secret.map(({ stats }) => stats.mode & 0o777)), new Set([0o600]));
    assert.equal(secret.length, 5, "the token, the database with its log and index, the reserve");
  });

  test("the daemon's user may do everything, on the main socket and on the administrators'", async () => {
    for (const socket of [place.socket, admin]) {
      await using client = await StoreClient.connect(socket);
      assert.equal((await client.hello())?.role, "trusted");
      const ended = await place.run(["--store-socket", socket, "gc", "--dry-run"]);
      assert.equal(ended.code, 0, ended.stderr);
    }
  });

  test("readers look and export, and do nothing else", async () => {
    await using client = await StoreClient.connect(readers);
    assert.equal((await client.hello())?.role, "reader");
    const info = await place.run(["--store-socket", readers, "store", "object", "info", path]);
    assert.equal(info.code, 0, info.stderr);
    const exported = await place.run([
      "--store-socket",
      readers,
      "store",
      "object",
      "export",
      path,
    ]);
    assert.ok(exported.stdout.length > 100);
    assert.equal((await place.run(["--store-socket", readers, "log", "main"])).code, 0);
    for (const [method, params] of [
      ["zb.realize", { drvPath: [`${place.store}/s66mzxpvicwk07gjbjfw9izjfa797vsw-hello.drv`] }],
      ["kiln.plan", { drvPath: [`${place.store}/s66mzxpvicwk07gjbjfw9izjfa797vsw-hello.drv`] }],
      ["zb.expand", { drvPath: `${place.store}/s66mzxpvicwk07gjbjfw9izjfa797vsw-hello.drv` }],
      ["zb.cancelBuild", { buildID: "1" }],
      ["kiln.importReport", {}],
      ["kiln.delete", { paths: [path] }],
      ["kiln.register", { info: "" }],
      ["kiln.addRoot", { name: join(place.project, "result") }],
      ["kiln.removeRoot", { name: "a" }],
      ["kiln.collect", {}],
      ["kiln.verify", {}],
    ] as const) {
      await assert.rejects(client.call(method, params), { code: "access.denied" }, method);
    }
    const built = await place.run(["--store-socket", readers, "build"]);
    assert.match(built.stderr, /is for reading \[access\.denied\]/);
    assert.equal(built.code, 1);
    const sent = client.importStream([exported.stdout]).then(async () => await client.barrier());
    await assert.rejects(sent, (error) => error instanceof KilnError);
    await until(daemon, () => daemon.stderr().includes("this socket is for reading"));
  });

  test(
    "strangers build, import and keep their own links, and do nothing to others' things",
    { skip: needsRoot },
    async () => {
      const built = await as([], ["build"]);
      assert.equal(built.stdout.toString().trim(), path, built.stderr);
      for (const args of [
        ["store", "object", "delete", path],
        ["gc", "--older-than=0s"],
        ["root", "add", "name", path],
        ["store", "verify"],
      ]) {
        const ended = await as([], args);
        assert.equal(ended.code, 1, args.join(" "));
        assert.match(
          ended.stderr,
          /trusted users .*\[access\.denied\]\n.*--trusted-group/,
          args.join(" "),
        );
      }
      const foreign = await as([], ["root", "add", "result"]);
      assert.match(foreign.stderr, /is another user's link, or none \[root\.denied\]/);
      assert.equal((await as([], ["store", "object", "info", path])).code, 0);
      const denied = await as([], ["ps"], admin);
      assert.match(denied.stderr, /socket\.denied/);
    },
  );

  test(
    "what is there and only root can see is not told to strangers",
    { skip: needsRoot },
    async () => {
      const closed = join(place.directory, "closed");
      mkdirSync(closed, { mode: 0o700 });
      writeFileSync(join(closed, "file"), "");
      symlinkSync(path, join(closed, "link"));
      const names = ["file", "link", "none", "none/none", "file/none"].map((name) =>
        join(closed, name),
      );
      // Kiln's own command looks for itself beforehand.
      const client = JSON.stringify(new URL("../src/rpc/client.ts", import.meta.url).pathname);
      const script = `import { StoreClient } from ${client};
      const client = await StoreClient.connect(${JSON.stringify(place.socket)});
      for (const name of ${JSON.stringify(names)})
        await client.call("kiln.addRoot", { name }).catch((error) => console.log(error.code + " " + error.message));
      await client.close();`;
      const ids = [`--reuid=${stranger}`, `--regid=${stranger}`, "--clear-groups"];
      const { stdout, stderr } = spawnSync(
        "setpriv",
        [...ids, "--", process.execPath, "--input-type=module", "-e", script],
        { encoding: "utf8" },
      );
      const lines = stdout.trim().split("\n");
      assert.equal(lines.length, names.length, stderr);
      const said = new Set(lines.map((line, i) => line.replaceAll(names[i]!, "X")));
      assert.match(lines[0]!, /^root\.denied /);
      assert.equal(said.size, 1, [...said].join());
    },
  );

  test(
    "the directory of a failed builder is kept for who asked, and for nobody else",
    { skip: needsRoot },
    async () => {
      for (const [run, uid] of [
        [as([], ["build", "--keep-failed", "-L", ".#bad"]), stranger],
        [place.run(["build", "--keep-failed", "-L", ".#bad"]), 0],
      ] as const) {
        const { stderr } = await run;
        const [, kept = ""] = /Build directory available at (\S+)/.exec(stderr) ?? [];
        const stats = statSync(kept);
        assert.deepEqual([stats.uid, stats.mode & 0o7777], [uid, 0o700], stderr);
        assert.equal(readFileSync(join(kept, "note"), "utf8"), "secret\n");
      }
    },
  );

  test("members of the trusted group may do everything", { skip: needsRoot }, async () => {
    const ended = await as([trusted], ["gc", "--dry-run"]);
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal((await as([trusted], ["root", "add", "theirs", path])).code, 0);
    const { stdout } = await place.run(["root", "list", "--json"]);
    assert.match(stdout.toString(), new RegExp(`"user":"uid ${stranger}"`));
  });

  test(
    "another's build cannot be cancelled by strangers, and is by its owner",
    { skip: needsRoot },
    async () => {
      const slow = place.start(["build", "-L", ".#slow"]);
      await until(slow, () => slow.stderr().includes("slow| started"));
      const { stdout } = await place.run(["ps", "--json"]);
      const { id } = JSON.parse(stdout.toString().split("\n")[0] ?? "") as { id: string };
      await as([], ["cancel", id]);
      assert.match(daemon.stderr(), new RegExp(`uid ${stranger} may not cancel build ${id}`));
      assert.match((await place.run(["ps"])).stdout.toString(), /running/);
      assert.equal((await place.run(["cancel", id])).code, 0);
      assert.equal((await slow.ended).code, 1);
    },
  );

  test("a link that somebody made is a root of theirs", { skip: needsRoot }, async () => {
    const folder = join(place.directory, "theirs");
    const made = spawn("install", ["-d", "-o", String(stranger), folder]);
    await once(made, "exit");
    const link = join(folder, "link");
    symlinkSync(path, link);
    const owned = spawn("chown", ["-h", String(stranger), link]);
    await once(owned, "exit");
    const ended = await as([], ["root", "add", link]);
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(
      (await place.run(["root", "list"])).stdout.toString(),
      new RegExp(`${link} +${path}`),
    );
  });
});

test("without a way to know who connects, everybody is a plain user, but for the administrators' socket", async () => {
  await using place = new Place();
  const admin = join(place.directory, "admin.sock");
  place.write("kiln.build.ts", shellTargets({ default: "echo hi > $out" }));
  // The package that asks the system is optional: here it cannot be found.
  const hook = join(place.directory, "hook.mjs");
  writeFileSync(
    hook,
    `import { registerHooks } from "node:module";
registerHooks({ resolve(name, context, next) { if (name === "koffi") throw new Error("not here"); return next(name, context); } });
`,
  );
  await place.serve([`--sandbox-path=${hostFolders.join(" ")}`, `--admin-socket=${admin}`], {
    env: { NODE_OPTIONS: `--import=${hook}` },
  });
  assert.equal((await place.run(["build"])).code, 0);
  const refused = await place.run(["gc"]);
  assert.match(refused.stderr, /access\.denied/);
  const done = await place.run(["--store-socket", admin, "gc"]);
  assert.equal(done.code, 0, done.stderr);
  const { stdout } = await place.run(["ps", "-a"]);
  assert.match(stdout.toString(), / - {2}/, "nobody is known");
});
