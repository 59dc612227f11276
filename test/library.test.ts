// What the documents say about the library holds: the programs they show, and the names they use.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

/** The line that declares `name`, for others to use. */
const declarationOf = (name: string): RegExp =>
  new RegExp(
    String.raw`^export (?:declare )?(?:abstract )?(?:async )?(?:class|function\*?|interface|type|const|let) ${name}\b`,
  );

/** The line above the declaration of what `file` exports as `name`, wherever that is: what is only passed on is followed. */
function lineAbove(name: string, file: string): string {
  const text = read(file);
  const lines = text.split("\n");
  const at = lines.findIndex((line) => declarationOf(name).test(line));
  if (at >= 0) return lines.slice(0, at).findLast((line) => !line.startsWith("// oxlint")) ?? "";
  for (const [, list = "", from = ""] of text.matchAll(
    /^(?:export|import) (?:type )?\{([^}]*)\} from "(\.[^"]+)";/gm,
  )) {
    for (const item of list.split(",")) {
      const [own = "", alias = own] = item
        .trim()
        .replace(/^type /, "")
        .split(" as ");
      if (alias === name) return lineAbove(own, posix.join(posix.dirname(file), from));
    }
  }
  throw new Error(`${name} is declared neither in ${file} nor where that takes it from`);
}

const read = (path: string): string =>
  readFileSync(fileURLToPath(new URL(`../${path}`, import.meta.url)), "utf8");

/** All names the package exports, types too. */
const exported = new Set(
  [...read("src/index.ts").matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap(([, list = ""]) =>
    list.split(",").flatMap((name) => name.trim().split(" as ").at(-1) ?? []),
  ),
);

/** The cells of all rows of the tables in a document. */
function rowsOf(document: string): string[][] {
  return read(document)
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| ---"))
    .map((line) =>
      line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

function codeIn(cell: string): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);
}

describe("src/index.ts", () => {
  const groups = read("src/index.ts").matchAll(/export (?:type )?\{([^}]*)\} from "\.\/([^"]+)"/g);
  for (const [, list = "", file = ""] of groups) {
    test(`exports only what is explained in ${file}`, () => {
      for (const name of list.split(",").map((one) => one.trim().split(" as ")[0] ?? "")) {
        if (name !== "") assert.match(lineAbove(name, `src/${file}`), /\*\/$/, name);
      }
    });
  }
});

describe("docs/library.md", () => {
  for (const [language, file] of [
    ["js", "examples/embedding/hello.js"],
    ["ts", "examples/embedding/shout.ts"],
  ]) {
    test(`shows ${file} as it is`, () => {
      const text = read("docs/library.md");
      assert.ok(text.includes(`\`\`\`${language}\n${read(file ?? "").trimEnd()}\n\`\`\``));
    });
  }
  test("names what is exported", () => {
    const rows = rowsOf("docs/library.md");
    const names = rows
      .slice(
        0,
        rows.findIndex(([first]) => first === "option"),
      )
      .slice(1);
    assert.ok(names.length >= 7);
    for (const name of names.flatMap(([, cell = ""]) => codeIn(cell))) {
      assert.ok(exported.has(name), name);
    }
  });
});

/** What zb's package `backend` exports, with the members of its types. */
const zbNames = `
  DefaultBuildUsersGroup SystemSupportsSandbox CanSandbox BuildUser BuildUser.UID BuildUser.GID BuildUser.String SandboxPath
  SandboxPath.Path SandboxPath.AlwaysPresent Options Options.RealStoreDirectory Options.BuildDirectory Options.LogDirectory
  Options.ContentAddressBufferCreator Options.DatabasePoolSize Options.AllowKeepFailed Options.DisableSandbox
  Options.SandboxPaths Options.CoresPerBuild Options.BuildUsers Options.BuildContext Options.BuildLogRetention
  Options.Fallback Options.Upload Options.Keyring Store Keyring Keyring.Sign Keyring.Clone NewServer Server Server.Close
  Server.JSONRPC Server.Export Exporter WithExporter Server.NewNARReceiver NARReceiver NARReceiver.Write
  NARReceiver.ReceiveNAR NARReceiver.Cleanup Server.Register Server.Delete Server.DeleteIncludingReferences
  Server.RecentBuildIDs Server.Drain Server.LaunchCheck ObjectInfo ObjectInfo.StorePath NARHash NARSize References CA
  NewObjectInfo ObjectInfo.ToRPC ObjectInfo.ToExportTrailer ObjectInfo.AppendText ObjectInfo.MarshalText
  ObjectInfo.UnmarshalText`;

describe("docs/from-zb-go-api.md", () => {
  const rows = rowsOf("docs/from-zb-go-api.md").filter(([first]) => first !== "zb");
  /** Where members of what is exported stand. */
  const members = [
    "src/server/server.ts",
    "src/server/nar-receiver.ts",
    "src/server/options.ts",
    "src/server/context.ts",
    "src/format/object-info.ts",
    "src/build/executor.ts",
  ]
    .map(read)
    .join("\n");

  test("has a row for every exported name of zb's package", () => {
    const named = new Set(
      rows.flatMap(([zb = ""]) => codeIn(zb).map((code) => code.split("(")[0])),
    );
    for (const name of zbNames.trim().split(/\s+/)) assert.ok(named.has(name), name);
  });
  for (const [zb = "", kiln = ""] of rows) {
    test(`names what there is for ${zb.replaceAll("`", "")}`, () => {
      // The first identifier, or the one behind the dot: `server.export(…)`, `await using`.
      const names = codeIn(kiln)
        .filter((code) => !code.startsWith("await"))
        .map((code) => /^(?:server\.|receiver\.)?(\w+)/.exec(code)?.[1] ?? code);
      assert.ok(names.length > 0 || kiln === "–");
      for (const name of names) {
        const isMember = new RegExp(String.raw`^\s+(?:async |static |readonly )*${name}\b`, "m");
        assert.ok(exported.has(name) || isMember.test(members), name);
      }
    });
  }
});
