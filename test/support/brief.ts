/**
 * `KILN_BRIEF=1` has commands that take minutes do all that they do, but once, with little, and without a verdict: it shows whether
 * they work, not what they measure.
 */
export const isBrief: boolean = process.env["KILN_BRIEF"] === "1";

/** So many, or a hundredth of that when it is to be brief. */
export function many(count: number): number {
  return isBrief ? Math.max(2, Math.ceil(count / 100)) : count;
}
