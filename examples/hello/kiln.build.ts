// The smallest build: one file in, one file out, by the machine's own shell.
import { derivation, path } from "kiln-store";

export default derivation({
  name: "hello.txt",
  builder: "/bin/sh",
  systemDeps: ["/bin/sh"],
  args: ["-c", `while read -r line; do echo "$line"; done < $src > $out`],
  env: { src: path("./hello.txt") },
});
