/** What zb's client builds in its life, and where Kiln's daemon answers otherwise than zb's, on purpose. */

/** A way in which Kiln differs. `docs/differences-from-zb.md` has a row for each, in these words. */
export interface Difference {
  readonly about: string;
  readonly zb: string;
  readonly kiln: string;
  /** What of a build's outcome is not the same, in both versions of zb unless `only` says otherwise. */
  readonly in: readonly Aspect[];
  readonly only?: Version;
}

export type Aspect = "code" | "stdout" | "statuses" | "results" | "logs";
export type Version = "v0.1.0" | "v0.2";

const difference = (
  about: string,
  zb: string,
  kiln: string,
  aspects: readonly Aspect[],
  only?: Version,
): Difference => ({ about, zb, kiln, in: aspects, ...(only === undefined ? {} : { only }) });

export const differences = {
  archives: difference(
    "Archives that `builtin:extract` knows",
    "tar with gzip or bzip2, and zip; no hard links; no entry for `./`",
    "also plain tar, xz and zstd, hard links inside the archive, `./` before names",
    ["code", "stdout", "statuses", "results", "logs"],
  ),
  authorsFault: difference(
    "A fixed output with other content, an executable flat output, an output that is a pipe",
    "the build ends as `error`, as if zb were at fault",
    "it ends as `fail`, as with everything that the derivation's author can mend",
    ["statuses", "results", "logs"],
  ),
  words: difference(
    "Why a builtin failed or a system dependency is missing",
    "words of Go's library, `%!s(<nil>)` for a name",
    "the file and the reason, and what to do about it",
    ["logs"],
  ),
  keepsGoing: difference(
    "Several targets, one of which fails",
    "the first failure ends the build; which others are built is left to chance",
    "everything that does not depend on the failure is built, unless asked otherwise",
    ["stdout", "results", "logs"],
  ),
  parallel: difference(
    "Builders of one request that do not need each other",
    "run one after the other",
    "run at the same time",
    ["code", "stdout", "statuses", "results", "logs"],
  ),
  planned: difference(
    "An input that is gone, of an output that is there",
    "the input is built again",
    "nothing is built",
    ["results", "logs"],
  ),
  inputsListed: difference(
    "Results of a build for a v0.2 client",
    "v0.2 lists what it built, and the reused outputs that this needed",
    "all whose outputs are known, as v0.1.0 does",
    ["results", "logs"],
    "v0.2",
  ),
  siblings: difference(
    "An output that mentions another output of its derivation",
    "keeps the path that the other one had while it was built, which nothing has",
    "mentions the final path, and refers to it",
    ["results"],
  ),
  cancelled: difference(
    "A cancelled build",
    "shows `success`, its result `active` for ever",
    "shows `error`, and so does its result",
    ["statuses", "results", "logs"],
  ),
  missingExport: difference(
    "Export of an object that is not there",
    "never answers",
    "answers with an error at once",
    ["code"],
  ),
} as const satisfies Record<string, Difference>;

export type DifferenceName = keyof typeof differences;

export interface LifeBuild {
  /** What of `life.lua` is built, by one command. */
  readonly targets: readonly string[];
  readonly file?: string;
  /** As which Kiln's builds end. */
  readonly status: "success" | "fail" | "error";
  readonly differs?: DifferenceName;
  /** Names of derivations whose outputs are never the same twice. */
  readonly random?: readonly string[];
  /** v0.2's client does not build fixed outputs that nothing needs, so its daemon has no part in it. */
  readonly isFixed?: boolean;
}

const succeeds = (targets: string, more: Partial<LifeBuild> = {}): LifeBuild => ({
  targets: targets.split(" "),
  status: "success",
  ...more,
});
const fails = (targets: string, more: Partial<LifeBuild> = {}): LifeBuild => ({
  ...succeeds(targets, more),
  status: more.status ?? "fail",
});

export const builds: readonly LifeBuild[] = [
  succeeds("hello"),
  succeeds("tree"),
  succeeds("config"),
  succeeds("environment"),
  succeeds("modes"),
  succeeds("odd"),
  succeeds("big"),
  succeeds("chain"),
  succeeds("wide"),
  succeeds("diamond"),
  succeeds("hello diamond tree", { differs: "inputsListed" }),
  succeeds("selfish"),
  succeeds("onSelfish"),
  succeeds("hidden"),
  succeeds("through", { differs: "inputsListed" }),
  succeeds("asBuilder"),
  succeeds("shared", { random: ["dice", "one", "two"] }),
  succeeds("sharedAgain", { random: ["dice", "one", "two"] }),
  succeeds("flat", { isFixed: true }),
  succeeds("flatOther", { isFixed: true }),
  succeeds("recursive", { isFixed: true }),
  succeeds("onFixed"),
  succeeds("fetched program moved squeezed", { isFixed: true }),
  succeeds("gzip bzip2"),
  succeeds("zip whole"),
  succeeds("package"),
  succeeds("onPackage", { differs: "inputsListed" }),
  succeeds("fromImport", { file: "import.lua" }),
  succeeds("plainTar", { differs: "archives" }),
  succeeds("xz", { differs: "archives" }),
  succeeds("zstd", { differs: "archives" }),
  succeeds("dotted", { differs: "archives" }),
  succeeds("hardLink", { differs: "archives" }),
  succeeds("meetOne meetTwo", { differs: "parallel" }),
  fails("fails"),
  fails("afterFail"),
  fails("killed"),
  fails("noOutput"),
  fails("noBuilder"),
  fails("noBuiltin"),
  fails("missing", { isFixed: true }),
  fails("otherSystem", { status: "error" }),
  fails("noDep", { status: "error", differs: "words" }),
  fails("noArchive", { differs: "words" }),
  fails("short", { differs: "words" }),
  fails("noSource", { differs: "words" }),
  fails("several", { differs: "words" }),
  fails("wrongHash", { differs: "authorsFault", isFixed: true }),
  fails("executableFlat", { differs: "authorsFault", isFixed: true }),
  fails("altered", { differs: "authorsFault", isFixed: true }),
  fails("pipe", { differs: "authorsFault" }),
  fails("fails spare1 spare2 spare3 spare4", { differs: "keepsGoing" }),
];
