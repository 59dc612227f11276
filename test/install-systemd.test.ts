// An installation under systemd itself, on a machine that it has booted.
import assert from "node:assert/strict";
import { test } from "node:test";
import { needsSystemd, onSystemdMachine } from "./support/systemd-machine.ts";
import { kilnProgram } from "./support/world.ts";

/** A project of one derivation in /tmp/hello, and what shows both units. */
const project = `
  state() { echo "$1: $(systemctl $2 is-active kiln-serve.socket) $(systemctl $2 is-active kiln-serve.service)"; }
  mkdir -m 755 /tmp/hello
  cat > /tmp/hello/kiln.build.ts <<END
import { derivation } from "kiln-store";
const args = ["-c", "echo hi > \\$out"];
export default derivation({ name: "hi", builder: "/bin/sh", systemDeps: ["/bin/sh"], args });
END`;

test(
  "systemd starts the daemon, at the first client and after a crash, until it is uninstalled",
  { skip: needsSystemd, timeout: 200_000 },
  async () => {
    const lines = await onSystemdMachine(`
      ${project}
      build() { /usr/local/bin/kiln build --quiet /tmp/hello; }
      mkdir -p /etc/systemd/system/kiln-serve.service.d
      printf '[Service]\\nStandardError=append:/out/daemon.log\\n' > /etc/systemd/system/kiln-serve.service.d/log.conf
      kiln install --multi-user --build-users=2 --shell= >/dev/null 2>/dev/null
      state installed
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

test(
  "a user's own systemd does the same for that user's daemon",
  { skip: needsSystemd, timeout: 200_000 },
  async () => {
    const lines = await onSystemdMachine(`
      useradd -m -u 4242 kilnuser
      install -d -m 700 -o kilnuser /run/user/4242
      systemd-run --quiet --unit=users-own -p User=kilnuser -p Delegate=yes -p Type=notify \\
        -E XDG_RUNTIME_DIR=/run/user/4242 /lib/systemd/systemd --user
      cat > /tmp/as-user <<'EOF'
      export XDG_RUNTIME_DIR=/run/user/4242 HOME=/home/kilnuser PATH=/usr/bin:/bin
      cd
      ${project}
      build() { .local/bin/kiln build --quiet /tmp/hello; }
      ${kilnProgram} install --single-user --shell= >/dev/null 2>&1
      state installed --user
      systemctl --user stop kiln-serve.service 2>/dev/null
      build 2>/dev/null
      state asked --user
      .local/bin/kiln doctor | grep -o 'isolation: sandbox'
      .local/bin/kiln uninstall --single-user >/dev/null 2>&1
      state uninstalled --user
EOF
      setpriv --reuid kilnuser --regid kilnuser --init-groups bash /tmp/as-user`);
    const [installed, path, ...rest] = lines;
    assert.equal(installed, "installed: active active", lines.join("\n"));
    assert.match(path ?? "", /^\/opt\/zb\/store\/\S+-hi$/);
    assert.deepEqual(rest, [
      "asked: active active",
      "isolation: sandbox",
      "uninstalled: inactive inactive",
    ]);
  },
);
