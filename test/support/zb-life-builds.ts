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
  /** What is built by one command: `FILE#NAME` of test/fixtures/life. */
  readonly targets: readonly string[];
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
  succeeds("one#hello"),
  succeeds("one#tree"),
  succeeds("one#config one#environment"),
  succeeds("one#modes one#odd"),
  succeeds("one#big"),
  succeeds("graphs#chain"),
  succeeds("graphs#wide"),
  succeeds("graphs#diamond"),
  succeeds("one#hello graphs#diamond one#tree", { differs: "inputsListed" }),
  succeeds("references#selfish references#onSelfish"),
  succeeds("graphs#hidden"),
  succeeds("graphs#through", { differs: "inputsListed" }),
  succeeds("references#asBuilder"),
  succeeds("random#shared", { random: ["dice", "one", "two"] }),
  succeeds("random#sharedAgain", { random: ["dice", "one", "two"] }),
  succeeds("fixed#flat", { isFixed: true }),
  succeeds("fixed#flatOther fixed#recursive", { isFixed: true }),
  succeeds("fixed#onFixed"),
  succeeds("web#fetched web#program web#moved web#squeezed", { isFixed: true }),
  succeeds("web#gzip web#bzip2"),
  succeeds("web#zip web#whole"),
  succeeds("web#package"),
  succeeds("web#onPackage", { differs: "inputsListed" }),
  succeeds("import#fromImport"),
  succeeds("web#plainTar web#xz web#zstd", { differs: "archives" }),
  succeeds("web#dotted web#hardLink", { differs: "archives" }),
  succeeds("together#meetOne together#meetTwo", { differs: "parallel" }),
  fails("failures#fails"),
  fails("failures#afterFail"),
  fails("failures#killed"),
  fails("failures#noOutput"),
  fails("failures#noBuilder"),
  fails("failures#noBuiltin"),
  fails("failures#missing", { isFixed: true }),
  fails("failures#otherSystem", { status: "error" }),
  fails("failures#noDep", { status: "error", differs: "words" }),
  fails("failures#noArchive", { differs: "words" }),
  fails("failures#short", { differs: "words" }),
  fails("failures#noSource", { differs: "words" }),
  fails("failures#several", { differs: "words" }),
  fails("failures#wrongHash", { differs: "authorsFault", isFixed: true }),
  fails("failures#executableFlat", { differs: "authorsFault", isFixed: true }),
  fails("failures#altered", { differs: "authorsFault", isFixed: true }),
  fails("failures#pipe", { differs: "authorsFault" }),
  fails("failures#fails together#spare1 together#spare2 together#spare3 together#spare4", {
    differs: "keepsGoing",
  }),
];
