// An installation under systemd itself, on a machine that it has booted.
import assert from "node:assert/strict";
import { test } from "node:test";
import { needsSystemd, onSystemdMachine } from "./support/systemd-machine.ts";

test(
  "systemd starts the daemon, at the first client and after a crash, until it is uninstalled",
  { skip: needsSystemd, timeout: 200_000 },
  async () => {
    const lines = await onSystemdMachine(`
      state() { echo "$1: $(systemctl is-active kiln-serve.socket) $(systemctl is-active kiln-serve.service)"; }
      build() { /usr/local/bin/kiln build --quiet /tmp/hello; }
      mkdir -p /etc/systemd/system/kiln-serve.service.d
      printf '[Service]\\nStandardError=append:/out/daemon.log\\n' > /etc/systemd/system/kiln-serve.service.d/log.conf
      kiln install --multi-user --build-users=2 --shell= >/dev/null 2>/dev/null
      state installed
      mkdir /tmp/hello
      cat > /tmp/hello/kiln.build.ts <<END
import { derivation } from "kiln-store";
const script = "read -r line < /proc/self/uid_map; echo \\$line; echo hi > \\$out";
export default derivation({ name: "hi", builder: "/bin/sh", systemDeps: ["/bin/sh"], args: ["-c", script] });
END
      build
      grep -c 'builders are isolated: user .*(root)' /out/daemon.log
      systemctl stop kiln-serve.service 2>/dev/null
      state stopped
      build
      state asked
      kill -9 "$(systemctl show -P MainPID kiln-serve.service)"
      build
      echo "restarts: $(systemctl show -P NRestarts kiln-serve.service)"
      kiln uninstall --multi-user >/dev/null 2>/dev/null
      state uninstalled
      ls -d /usr/local/lib/kiln 2>/dev/null
      grep -c 'ERROR\\|WARN' /out/daemon.log`);
    const [installed, path, ...rest] = lines;
    assert.equal(installed, "installed: active active");
    assert.match(path ?? "", /^\/opt\/zb\/store\/\S+-hi$/);
    assert.deepEqual(rest, [
      "1",
      "stopped: active inactive",
      path,
      "asked: active active",
      path,
      "restarts: 1",
      "uninstalled: inactive inactive",
      "0",
    ]);
  },
);
