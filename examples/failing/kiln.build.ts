// A build that fails, to see what that looks like: `kiln build examples/failing` exits with 1, shows the end of the log, and what
// was built before the failure is kept.
import { derivation, text } from "kiln-store";

const shell = { builder: "/bin/sh", systemDeps: ["/bin/sh"] } as const;

const parts = derivation({
  ...shell,
  name: "parts",
  args: ["-c", "echo 'axle wheel' > $out"],
});

const checklist = text("checklist", "axle\nwheel\nbrake\n");

export const check = derivation({
  ...shell,
  name: "parts-checked",
  args: [
    "-c",
    `read -r parts < ${parts}
    while read -r part; do
      case " $parts " in
        *" $part "*) echo "found $part" ;;
        *) echo "error: there is no $part" >&2; exit 3 ;;
      esac
    done < ${checklist}
    echo ok > $out`,
  ],
});

export default derivation({
  ...shell,
  name: "assembled",
  args: ["-c", `echo "never reached, as ${check} fails" > $out`],
});
