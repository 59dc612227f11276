/** The lines that say how a plan looks, how a result failed and how a build ended. Words only: where they go is not decided here. */
import type { ResultState } from "../../build/events.ts";
import { limitFlagOf } from "../limits.ts";
import { duration, list, number, shortID, size } from "../text.ts";
import type { BuildView, ResultView } from "./build-view.ts";
import type { Style } from "./style.ts";
import { harmless } from "./terminal-text.ts";

/** `18 derivations: 10 reused, 8 to build; app-src changed since app in build 7ac4b2d9` */
export function planLine(view: BuildView): string | undefined {
  const plan = view.plan;
  if (plan === undefined) return undefined;
  const total = plan.reuse + plan.substitute + plan.build;
  const parts = [
    plan.reuse > 0 ? `${number(plan.reuse)} reused` : "",
    plan.substitute > 0 ? `${number(plan.substitute)} to fetch` : "",
    plan.build > 0 ? `${number(plan.build)} to build` : "",
  ].filter(Boolean);
  const cause = causeOf(view);
  const noun = total === 1 ? "derivation" : "derivations";
  return `${number(total)} ${noun}: ${parts.join(", ")}${cause === undefined ? "" : `; ${cause}`}`;
}

/** What changed since the last time, as far as it is not itself built anew. */
function causeOf(view: BuildView): string | undefined {
  const built = new Set(view.inState("waiting", "running").map((result) => result.name));
  const changed = new Set<string>();
  let since = "";
  for (const { name, reason } of view.results.values()) {
    for (const input of reason?.detail?.inputs ?? []) if (!built.has(input)) changed.add(input);
    // What it was and is takes too much room here.
    for (const change of reason?.detail?.changes ?? []) changed.add(change.split(" ")[0] ?? change);
    const previous = reason?.detail?.previous;
    // It may be somebody else's who chose the same name.
    if (since === "" && previous) since = ` since ${name} in build ${shortID(previous.buildID)}`;
  }
  if (changed.size === 0) return undefined;
  return `${list([...changed], 3)} changed${since}`;
}

/** Why a result is built, for -v. */
export function reasonText(result: ResultView): string | undefined {
  const { reason } = result;
  if (reason === null) return undefined;
  const detail = reason.detail;
  const named = list(
    [...(detail?.inputs ?? []), ...(detail?.changes ?? []), ...(detail?.paths ?? [])],
    3,
  );
  const words = {
    neverRealised: "never built with success",
    inputChanged: "an input changed",
    derivationChanged: "its description changed",
    outputMissing: "its output is gone",
    cleanAsked: "a clean build was asked for",
    checkAsked: "a check was asked for",
    incompatibleClosure: "what is there does not fit the rest",
    untrusted: "what is there is not trusted",
  }[reason.code];
  return named === "" ? words : `${words}: ${named}`;
}

/** `builder exited with status 2 after 12.4s` */
export function failureText(result: ResultView): string {
  const after =
    result.durationMs > 0 ? ` after ${duration(result.durationMs, { precise: true })}` : "";
  if (result.state === "cancelled" || result.state === "interrupted")
    return `${result.state}${after}`;
  const { failure } = result;
  // After a message of several parts, of a limit or of no builder's, the time would be read as belonging to what was said last.
  const isApart =
    failure?.kind === "internal" ||
    failure?.code.startsWith("limit.") ||
    failure?.message.includes(": ");
  const took = after !== "" && isApart ? ` (${after.trim()})` : after;
  // A builder's failure is told by its log; for the others the code is what to look up.
  const code = failure === null || failure.kind === "builder" ? "" : ` [${failure.code}]`;
  return `${failure?.message ?? "failed"}${took}${code}`;
}

/** What is to be known of a build beside its results. */
export function messageText({ text, hint }: { text: string; hint: string | null }): string {
  return hint === null ? text : `${text} (${hint})`;
}

/** What to do next. Of a builder that was not started, and of one of Kiln's own, no directory would tell more. */
export function remedyText({ failure }: ResultView, retry: string | undefined): string | undefined {
  if (failure === null || failure.kind !== "builder") return undefined;
  const { code, message } = failure;
  const [, got] = /, got (\S+)$/.exec(message) ?? [];
  if (code === "fetch.hash" && got !== undefined) {
    return `set its hash to ${got}, if the new content is right`;
  }
  const limit = limitFlagOf(code);
  if (limit !== undefined) return `raise ${limit} where it is set, or let the builder need less`;
  return /^(?:fetch|extract|builtin)\.|^builder\.start$/.test(code) ? undefined : retry;
}

/** How much log there is: `(1,128,446 lines, 86 MiB)`; sizes alone where lines are not known. */
function logSize(result: ResultView): string {
  return result.logSize > 64 * 1024 ? `  (${size(result.logSize)})` : "";
}

/** What looks like the cause in its log, and the last lines, without the builder's tricks. */
export function lastLines(result: ResultView, style: Style): string[] {
  const { cause, lastLines: last = [] } = result.failure ?? {};
  const before = cause === undefined ? [] : [`line ${number(cause.number)}: ${cause.text}`, "…"];
  return [...before, ...last].map((line) => harmless(line, style));
}

/** A failure, whole: head, last lines, and where to look next. */
export function failureBlock(
  result: ResultView,
  options: {
    style: Style;
    /** The command that shows its whole log. */
    log: string;
    retry: string | undefined;
    page?: string | undefined;
  },
): string[] {
  const { style } = options;
  const head = `${style.shape(result.state)} ${style.paint("strong", result.name.padEnd(16))}  ${failureText(result)}`;
  const lines = [
    head,
    ...lastLines(result, style).map((line) => `  ${style.paint("dim", style.rule)} ${line}`),
  ];
  const fact = (name: string, value: string): void => {
    lines.push(`  ${name.padEnd(11)}  ${value}`);
  };
  if (result.logSize > 0) fact("log", `${options.log}${logSize(result)}`);
  if (options.page !== undefined) fact("page", options.page);
  fact("derivation", result.drvPath);
  const remedy = remedyText(result, options.retry);
  if (remedy !== undefined) fact("try", remedy);
  return lines;
}

/** What was not begun, and why; undefined when that is nothing. */
export function skippedText(view: BuildView): { names: string; why: string } | undefined {
  const skipped = view.inState("skipped");
  if (skipped.length === 0) return undefined;
  const failed = view.inState("failed", "error").map((result) => result.name);
  const why = failed.length === 0 ? "the build was cancelled" : `${list(failed, 3)} failed`;
  return { names: list(skipped.map((result) => result.name)), why: `skipped: ${why}` };
}

/** The last line: what was done and how long it took. */
export function summaryLine(view: BuildView, style: Style): string {
  const plannedReuse = view.plan?.reuse ?? 0;
  const of = (...states: ResultState[]): number => view.inState(...states).length;
  const reused = Math.max(of("reused"), view.state === "cancelled" ? 0 : plannedReuse);
  const counts: [number, string][] = [
    [of("failed"), "failed"],
    [of("error"), "could not be built"],
    [of("interrupted"), "interrupted"],
    [of("cancelled"), "cancelled"],
    [of("skipped"), "skipped"],
    [of("built"), view.state === "cancelled" ? "built (kept)" : "built"],
    [of("substituted"), "fetched"],
    [reused, "reused"],
  ];
  const words = counts
    .filter(([many]) => many > 0)
    .map(([many, word]) => `${number(many)} ${word}`);
  const took = duration(view.durationMs, { precise: true });
  const counted = words.join(", ");
  if (view.state === "reused") return `nothing to build: ${number(reused)} reused (${took})`;
  if (view.state === "cancelled") return `cancelled: ${counted || "nothing had begun"} in ${took}`;
  if (view.state === "interrupted") return `interrupted: ${counted} in ${took}`;
  if (view.state === "failed" || view.state === "error") return `failed: ${counted} in ${took}`;
  return `${counted} in ${took}${criticalPath(view, style)}`;
}

/** The chain of results that decided when the build ended, if it took long enough to matter. */
function criticalPath(view: BuildView, style: Style): string {
  const names = view.criticalPath.map((step) => view.nameOf(step.drvPath));
  const long = view.criticalPath.reduce((sum, step) => sum + step.durationMs, 0);
  if (names.length < 2 || long < 1000) return "";
  return `; critical path ${names.join(` ${style.arrow} `)} ${(long / 1000).toFixed(long < 10_000 ? 1 : 0)}s`;
}
