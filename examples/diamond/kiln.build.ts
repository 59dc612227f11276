// Four derivations: `left` and `right` both need `base`, `top` needs both. `base` is built once, `left` and `right` at the same
// time, and a change of words.txt that leaves the sorted words as they are rebuilds `base` alone.
import { type Output, derivation, path } from "kiln-store";

const shell = {
  builder: "/bin/sh",
  systemDeps: ["/bin", "/lib", "/lib64", "/usr"],
} as const;
const PATH = "/usr/bin:/bin";

export const base = derivation({
  ...shell,
  name: "words-sorted",
  args: ["-c", "sort -u $words > $out"],
  env: { PATH, LC_ALL: "C", words: path("./words.txt") },
}).out;

const count = (name: string, pattern: string, words: Output) =>
  derivation({
    ...shell,
    name,
    args: ["-c", `grep -c "$pattern" ${words} > $out`],
    env: { PATH, pattern },
  });

export const left = count("short-words", "^.\\{1,5\\}$", base);
export const right = count("long-words", "^.\\{6,\\}$", base);

export default derivation({
  ...shell,
  name: "report",
  args: ["-c", `{ echo "short: $(cat ${left})"; echo "long: $(cat ${right})"; } > $out`],
  env: { PATH },
});
