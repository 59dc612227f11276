/** What comes from outside by its hash: zb's own `fetchurl`, `extract` and `fetchArchive`, to the byte. */
import { describe } from "./describe.ts";
import { nearest, show } from "./fault.ts";
import { callerPlace } from "./place.ts";
import { checkOptions, wrong, type Subject } from "./strings.ts";
import {
  isPrintable,
  type Derivation,
  type DerivationValue,
  type Output,
  type Source,
} from "./values.ts";

/** What is fetched, and how it is kept. */
export interface FetchUrlOptions {
  readonly url: string;
  /** Any hash text; of the file's bytes, or of the NAR when executable. */
  readonly hash: string;
  /** Default: the last element of the URL's path. */
  readonly name?: string;
  /** Whether the file is a program; default: no. */
  readonly executable?: boolean;
}

/** What is unpacked, and how. */
export interface ExtractOptions {
  /** A `.tar`, `.tar.gz`, `.tar.bz2` or `.zip`. */
  readonly src: string | Source | Derivation | Output;
  /** Default: the name of `src` without such an ending; needed when `src` is a string. */
  readonly name?: string;
  /** Whether the one folder in which everything lies goes away; default: yes. */
  readonly stripFirstComponent?: boolean;
}

/** What is fetched and unpacked, and how. */
export interface FetchArchiveOptions {
  readonly url: string;
  /** Any hash text, of the archive's bytes. */
  readonly hash: string;
  /** Default: the last element of the URL's path. The archive gets this name, the folder it without its ending. */
  readonly name?: string;
  readonly stripFirstComponent?: boolean;
}

type Caller = Pick<Subject, "label" | "place">;

export function fetchUrlDerivation(options: FetchUrlOptions): DerivationValue {
  const caller = { label: "fetchUrl()", place: callerPlace() };
  checkOptions(caller, options, ["url", "hash", "name", "executable"], nearest);
  return fetchFile(caller, options);
}

export function extractDerivation(options: ExtractOptions): DerivationValue {
  const caller = { label: "extract()", place: callerPlace() };
  checkOptions(caller, options, ["src", "name", "stripFirstComponent"], nearest);
  const { src, name } = options;
  if (typeof src !== "string" && !isPrintable(src)) throw wrong(caller, `src is ${show(src)}`);
  if (name === undefined && typeof src === "string") {
    throw wrong(caller, "src is a string, so it needs a name", '{ name: "…" }');
  }
  return unpack(options, name ?? withoutEnding(typeof src === "string" ? "" : src.name));
}

export function fetchArchiveDerivation(options: FetchArchiveOptions): DerivationValue {
  const caller = { label: "fetchArchive()", place: callerPlace() };
  checkOptions(caller, options, ["url", "hash", "name", "stripFirstComponent"], nearest);
  const { url, hash, stripFirstComponent } = options;
  const name = options.name ?? nameIn(caller, url);
  const src = fetchFile(caller, { url, hash, name });
  return unpack(
    { src, ...(stripFirstComponent !== undefined && { stripFirstComponent }) },
    withoutEnding(name),
  );
}

function fetchFile(caller: Caller, options: FetchUrlOptions): DerivationValue {
  const { url, hash, executable = false } = options;
  const parsed = parseUrl(caller, url);
  if (parsed.username !== "" || parsed.password !== "") {
    throw wrong(caller, "the URL has a password, and everybody can read the store");
  }
  if (typeof hash !== "string") {
    const hint = executable
      ? `hash: "sha256:${"0".repeat(64)}"; the build then fails and says what it is`
      : `curl -L '${parsed.href.replaceAll("'", "%27")}' | sha256sum prints it, for hash: "sha256:…"`;
    throw wrong(caller, `hash is ${show(hash)}`, hint);
  }
  return describe({
    name: options.name ?? nameIn(caller, url),
    builder: "builtin:fetchurl",
    system: "builtin",
    hash,
    hashMode: executable ? "recursive" : "flat",
    env: {
      url,
      urls: [url],
      executable,
      unpack: false,
      preferLocalBuild: true,
      impureEnvVars: ["http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"],
    },
  });
}

function unpack(
  { src, stripFirstComponent = true }: ExtractOptions,
  name: string,
): DerivationValue {
  return describe({
    name,
    builder: "builtin:extract",
    system: "builtin",
    env: { src, stripFirstComponent },
  });
}

function parseUrl(caller: Caller, url: unknown): URL {
  if (typeof url !== "string") throw wrong(caller, `url is ${show(url)}`);
  const parsed = URL.parse(url);
  if (parsed === null) throw wrong(caller, `url is ${show(url)}, which is no URL`);
  return parsed;
}

function nameIn(caller: Caller, url: unknown): string {
  const { pathname } = parseUrl(caller, url);
  const name = pathname.replace(/\/+$/, "").split("/").at(-1) ?? "";
  if (/^[a-zA-Z0-9+\-._=]+$/.test(name)) return name;
  throw wrong(caller, `the URL ends in ${show(name)}, which is no name`, '{ name: "…" }');
}

/** As zb does it: `.tgz` is none of its endings. */
function withoutEnding(name: string): string {
  return name.replace(/\.(?:tar|tar\.gz|tar\.bz2|zip)$/, "");
}
