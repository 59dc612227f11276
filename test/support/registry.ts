/**
 * A registry on loopback, for what documents install: it has what this checkout was installed from, with the bytes that npm has kept
 * of that, and `kiln-store` itself, where `npm pack` has made its archive. It asks no other registry.
 *
 *     node test/support/registry.ts CACHE [ARCHIVE]
 *
 * writes its address when it is ready, and ends with its standard input.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { root } from "./document.ts";

/** What a lock file says of a package; it is enough for npm. */
interface Locked {
  /** Where its folder has another one. */
  readonly name?: string;
  readonly version?: string;
  readonly integrity?: string;
  readonly [other: string]: unknown;
}

/** The locks of what is installed: the checkout's, and that of the package `node`, which installs another one by itself. */
const locks = ["package-lock.json", "node_modules/node/node_modules/.package-lock.json"];

/** Those at the top come first: they are the versions that are asked for by name. */
function lockedPackages(): {
  readonly name: string;
  readonly folder: string;
  readonly locked: Locked;
}[] {
  const there = locks.map((file) => join(root, file)).filter((file) => existsSync(file));
  const found = there.flatMap((file) => {
    const { packages } = readJson(file) as { packages: Record<string, Locked> };
    return Object.entries(packages).map(([folder, locked]) => {
      const folders = folder.split("node_modules/");
      const name = locked.name ?? folders.at(-1)!;
      return { name, folder, locked, depth: folders.length };
    });
  });
  return found.filter(({ folder }) => folder !== "").toSorted((a, b) => a.depth - b.depth);
}

/** Where npm keeps the bytes that have this digest. */
function keptAt(cache: string, integrity: string): string {
  const [, algorithm = "", digest = ""] = /^(\w+)-(\S+)$/.exec(integrity) ?? [];
  const hex = Buffer.from(digest, "base64").toString("hex");
  const parts = [hex.slice(0, 2), hex.slice(2, 4), hex.slice(4)];
  return join(cache, "_cacache", "content-v2", algorithm, ...parts);
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, "utf8"));
}

/** The folder in which npm keeps what it has fetched. */
export const npmCache: string = execFileSync("npm", ["config", "get", "cache"], {
  encoding: "utf8",
}).trim();

/** This program. */
export const registryProgram: string = fileURLToPath(import.meta.url);

/** Why packages cannot be had from npm's folder, or false. */
export const needsPackages: string | false = (() => {
  const missing = lockedPackages().filter(
    ({ folder, locked: { integrity = "" } }) =>
      existsSync(join(root, folder)) && !existsSync(keptAt(npmCache, integrity)),
  );
  const names = missing.map(({ name }) => name).join(", ");
  return missing.length > 0 && `npm has not kept what it installed here (npm ci): ${names}`;
})();

/** Makes the archive that `npm publish` would send, and gives its path. The checkout has to be built. */
export function packKiln(folder: string): string {
  const words = ["pack", "--ignore-scripts", "--json", "--pack-destination", folder];
  const said = execFileSync("npm", words, { cwd: root, encoding: "utf8" });
  const [packed] = JSON.parse(said) as { filename: string }[];
  return join(folder, packed!.filename);
}

function serve(cache: string, archive: string | undefined): void {
  const versions = new Map<string, Record<string, Locked>>();
  const archives = new Map<string, string>();
  const offer = (name: string, manifest: Locked, file: string): void => {
    const { version = "" } = manifest;
    archives.set(pathOf(name, version), file);
    const known = versions.get(name) ?? {};
    versions.set(name, known);
    known[version] ??= manifest;
  };
  const { devDependencies: _, ...own } = readJson(join(root, "package.json")) as Locked;
  if (archive !== undefined) offer(own.name ?? "", own, archive);
  for (const { name, locked } of lockedPackages()) {
    offer(name, locked, keptAt(cache, locked.integrity ?? ""));
  }
  const server = createServer(({ url = "", headers: { host = "" } }, response) => {
    const path = decodeURIComponent(url);
    const name = path.slice(1);
    const [file, offered] = [archives.get(path), versions.get(name)];
    if (file !== undefined && existsSync(file)) response.end(readFileSync(file));
    else if (offered === undefined) response.writeHead(404).end();
    else response.end(JSON.stringify(packumentOf(name, offered, host)));
  });
  server.listen(0, "localhost", () => {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    console.log(`http://localhost:${address.port}`);
  });
  process.stdin.on("end", () => process.exit()).resume();
}

/** All that npm wants to know of a package before it has the archive. */
function packumentOf(name: string, offered: Record<string, Locked>, host: string): object {
  const manifests = Object.entries(offered).map(([version, { integrity, ...manifest }]) => {
    const tarball = `http://${host}${pathOf(name, version)}`;
    const dist = { tarball, ...(integrity === undefined ? {} : { integrity }) };
    return [version, { ...manifest, name, version, dist }] as const;
  });
  const tags = { latest: manifests[0]?.[0] };
  return { name, "dist-tags": tags, versions: Object.fromEntries(manifests) };
}

const pathOf = (name: string, version: string): string => `/-/${name}/${version}.tgz`;

if (process.argv[1] !== undefined && basename(process.argv[1]) === "registry.ts") {
  const [cache = "", archive] = process.argv.slice(2);
  serve(cache, archive);
}
