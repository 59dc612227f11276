import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { configurationFiles, loadConfiguration, noConfiguration } from "./configuration.ts";
import { parseConfiguration } from "./configuration-file.ts";
import { reuseWish } from "./reuse.ts";
import { settingsFrom } from "./settings.ts";

const key = (n: number): { format: "ed25519"; publicKey: string } => ({
  format: "ed25519",
  publicKey: Buffer.alloc(32, n).toString("base64"),
});

/** The files that are looked for in a folder. */
function four(folder: string): string[] {
  return ["zb/config.json", "zb/config.jwcc", "kiln/config.json", "kiln/config.jwcc"].map((name) =>
    join(folder, name),
  );
}

describe("the files", () => {
  test("are those of the XDG folders, the environment and the flags, the last counting most", () => {
    const env = {
      HOME: "/home/u",
      XDG_CONFIG_DIRS: "/first:relative:/second",
      ZB_CONFIG_FILE: "/env/first::/env/second",
    };
    const files = configurationFiles(env, ["/flag/one", "/flag/two"]);
    assert.deepEqual(
      files.map(({ path }) => path),
      [
        ...four("/second"),
        ...four("/first"),
        ...four("/home/u/.config"),
        "/env/second",
        "/env/first",
        "/flag/one",
        "/flag/two",
      ],
    );
    assert.deepEqual(
      files.filter(({ isRequired }) => isRequired).map(({ path }) => path),
      ["/flag/one", "/flag/two"],
    );
  });

  test("begin with the system's, where nobody says otherwise", () => {
    const [first] = configurationFiles({ HOME: "/home/u", XDG_CONFIG_DIRS: "" }, []);
    assert.equal(first?.path, "/etc/xdg/zb/config.json");
  });
});

describe("what stands in a file", () => {
  test("may have comments and trailing commas; paths are relative to the file", () => {
    const text = `{
      // who is trusted
      "trustedPublicKeys": [${JSON.stringify(key(1))},],
      "debug": true, /* here, too: "debug": false */
      "storeDirectory": "/x//store",
      "storeSocket": "run/socket",
      "server": { "signingKeyFiles": ["key", "/keys/other",], },
    }`;
    assert.deepEqual(parseConfiguration(text, "/etc/kiln/config.json"), {
      debug: true,
      storeDirectory: "/x//store",
      storeSocket: "/etc/kiln/run/socket",
      trustedPublicKeys: [key(1)],
      signingKeyFiles: ["/etc/kiln/key", "/keys/other"],
      unused: [],
    });
  });

  test("may be null; what has no effect is named", () => {
    const text = `{"debug": null, "server": {"download": null, "signingKeyFiles": null, "upload": "u"}, "httpCache": "h", "x": {}}`;
    assert.deepEqual(parseConfiguration(text, "/f"), {
      ...noConfiguration,
      unused: ["httpCache", "x", "server.download", "server.upload"].map((name) => `${name} in /f`),
    });
  });

  test("says what was probably meant by what has no effect", () => {
    const { unused } = parseConfiguration(`{"storeSockets": "s", "stroe": "d", "jobs": 1}`, "/f");
    assert.deepEqual(unused, [
      "storeSockets in /f (did you mean storeSocket?)",
      "stroe in /f (did you mean storeDirectory?)",
      "jobs in /f",
    ]);
  });

  test("may limit builds, as the flags do", () => {
    const text = `{"server": {"limits": {"buildTime": "1h30m", "silentTime": null, "memory": "4G", "processes": 64}}}`;
    assert.deepEqual(parseConfiguration(text, "/f"), {
      ...noConfiguration,
      limits: { wallTime: 5_400_000, memory: 4 * 1024 ** 3, processes: 64 },
    });
  });

  for (const [text, code, place, message] of [
    ["", "config.syntax", "1:1", /value expected/],
    ["{", "config.syntax", "1:2", /close brace expected/],
    ['{\n "debug": true\n "x": 1}', "config.syntax", "3:2", /comma expected/],
    ["{debug: true}", "config.syntax", "1:2", /invalid symbol/],
    ['{"debug": true,\n"debug": false}', "config.syntax", "2:1", /two members "debug"/],
    ["[]", "config.value", "1:1", /expected object, received array/],
    ['{"debug": "yes"}', "config.value", "1:11", /^debug: expected boolean/],
    ['{"storeSocket": ""}', "config.value", "1:17", /^storeSocket: is empty/],
    [
      '{"server": {\n"signingKeyFiles": ["a", 5]}}',
      "config.value",
      "2:26",
      /^server\.signingKeyFiles\.1: expected string/,
    ],
    [
      '{"trustedPublicKeys": [{"format": "ed25519", "publicKey": "AAAA"}]}',
      "config.value",
      "1:59",
      /the base 64 of 32 bytes/,
    ],
    [
      '{"trustedPublicKeys": [{"format": "rsa", "publicKey": "AAAA"}]}',
      "config.value",
      "1:35",
      /format/,
    ],
    [
      '{"server": {"limits": {"memory": "much"}}}',
      "config.value",
      "1:34",
      /^server\.limits\.memory: "much" is no size/,
    ],
    ['{"server": {"limits": {"disk": 5}}}', "config.value", "1:23", /^server\.limits: .*"disk"/],
  ] as const) {
    test(`is refused with its place: ${text}`, () => {
      assert.throws(() => parseConfiguration(text, "/f"), { code, at: `/f:${place}`, message });
    });
  }
});

describe("several files", () => {
  const folder = mkdtempSync(join(tmpdir(), "kiln-config-"));
  const write = (name: string, value: unknown): void => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), JSON.stringify(value));
  };
  before(() => {
    write("xdg/zb/config.json", {
      debug: true,
      storeSocket: "/from/json",
      storeDirectory: "/json/store",
      trustedPublicKeys: [key(1), key(2)],
      server: { signingKeyFiles: ["a"] },
    });
    write("xdg/zb/config.jwcc", {
      storeSocket: "/from/jwcc",
      debug: false,
      server: { limits: { memory: 1, processes: 2 } },
    });
    write("flag.json", {
      trustedPublicKeys: [key(2), key(3)],
      server: { signingKeyFiles: ["a"], limits: { memory: 3 } },
    });
  });
  after(() => rmSync(folder, { recursive: true }));

  const env = { HOME: folder, XDG_CONFIG_DIRS: join(folder, "xdg") };
  const files = (...named: string[]): ReturnType<typeof configurationFiles> =>
    configurationFiles(
      env,
      named.map((name) => join(folder, name)),
    );

  test("are one: the later wins, keys add up", async () => {
    assert.deepEqual(await loadConfiguration(files("flag.json")), {
      debug: false,
      storeDirectory: "/json/store",
      storeSocket: "/from/jwcc",
      limits: { memory: 3, processes: 2 },
      trustedPublicKeys: [key(1), key(2), key(3)],
      signingKeyFiles: [join(folder, "xdg/zb/a"), join(folder, "a")],
      unused: [],
    });
  });

  test("need not be there, unless a flag names them", async () => {
    const nowhere = { HOME: "/none", XDG_CONFIG_DIRS: "/none", ZB_CONFIG_FILE: "/none/x" };
    assert.deepEqual(await loadConfiguration(configurationFiles(nowhere, [])), noConfiguration);
    await assert.rejects(loadConfiguration(files("none.json")), { code: "config.missing" });
  });

  test("count less than flags and environment, and more than defaults", async () => {
    const configuration = await loadConfiguration(files());
    const settings = settingsFrom({ configuration }, {});
    assert.deepEqual(
      [settings.directory, settings.directoryFrom, settings.socket, settings.socketFrom],
      ["/json/store", "the configuration", "/from/jwcc", "the configuration"],
    );
    const environment = { ZB_STORE_DIR: "/env/store", ZB_STORE_SOCKET: "/env/s" };
    const fromEnvironment = settingsFrom({ configuration }, environment);
    assert.deepEqual([fromEnvironment.directory, fromEnvironment.socket], ["/env/store", "/env/s"]);
    const flags = { configuration, store: "/flag/store", storeSocket: "/flag/s", debug: true };
    const fromFlags = settingsFrom(flags, environment);
    assert.deepEqual([fromFlags.directory, fromFlags.socket], ["/flag/store", "/flag/s"]);
    assert.deepEqual([settings.debug, fromFlags.debug], [false, true]);
  });

  test("say whose realisations may be reused", async () => {
    const settings = settingsFrom({ configuration: await loadConfiguration(files()) }, {});
    assert.deepEqual(reuseWish(settings), { publicKeys: [key(1), key(2)] });
    assert.equal(reuseWish(settings, true), null);
    assert.deepEqual(reuseWish(settingsFrom({}, {})), { all: true });
  });
});
