// What the documents say for a machine with systemd, done on one that it has booted: zb served there, and Kiln takes its place.
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { test } from "node:test";
import { blocksRunBy, root } from "./support/document.ts";
import { needsZb, zb } from "./support/peers.ts";
import { needsPackages, npmCache, registryProgram } from "./support/registry.ts";
import { needsSystemd, onSystemdMachine } from "./support/systemd-machine.ts";

/** In the order of the documents: adopting.md (2), from-zb.md, installing.md. */
const blocks = blocksRunBy(import.meta.url).map(({ commands }) => commands.trim());
const [adopt = "", serve = "", replace = "", edit = ""] = blocks;

/** zb under systemd, with a store in which something was built. Its sandbox would need a statically linked shell. */
const zbServes = `
  zb() { ${zb} "$@"; }
  mkdir -p /opt/zb/store /opt/zb/var/zb /opt/zb/var/log/zb
  cat > /etc/systemd/system/zb-serve.socket <<'END'
[Socket]
ListenStream=/opt/zb/var/zb/server.sock
[Install]
WantedBy=sockets.target
END
  cat > /etc/systemd/system/zb-serve.service <<'END'
[Unit]
Requires=zb-serve.socket
After=zb-serve.socket
[Service]
ExecStart=${zb} serve --systemd --sandbox=false --build-users-group=
KillMode=mixed
[Install]
WantedBy=multi-user.target
END
  cat > build.lua <<'END'
hello = derivation {
  name = "hello", system = "x86_64-linux", builder = "/bin/sh", args = {"-c", "echo hi > $out"},
}
END
  systemctl daemon-reload
  systemctl enable --now zb-serve.socket zb-serve.service 2>/dev/null
  built() { zb build build.lua#hello 2>&1; }
  built
  sync; systemctl stop zb-serve.service zb-serve.socket
  cp -a /opt/zb /tmp/before; systemctl start zb-serve.socket zb-serve.service`;

/** What npm asks, and where it keeps what it gets. */
const registry = `
  export HOME=/tmp/home PATH=${dirname(process.execPath)}:$PATH
  (cd ${root} && npm pack --silent --ignore-scripts --pack-destination /tmp >/dev/null)
  tail -f /dev/null | node ${registryProgram} ${npmCache} /tmp/kiln-store-*.tgz > /tmp/registry &
  until [ -s /tmp/registry ]; do sleep 0.1; done
  export npm_config_registry=$(cat /tmp/registry)`;

test(
  "zb's store is taken over, its daemon is replaced, and Kiln's gets a flag, as the documents say",
  { skip: needsSystemd || needsZb || needsPackages, timeout: 200_000 },
  async () => {
    assert.equal(blocks.length, 4);
    const [, changes = ""] = /# (\[Service\].*)$/m.exec(edit) ?? [];
    const lines = await onSystemdMachine(
      `
      mkdir /tmp/here && cd /tmp/here
      ${zbServes}
      newest() { kiln ps -a | sed -n 2p | grep -o 'reused\\|built'; }
      echo "# adopting.md"
      ${adopt}
      : > /tmp/served
      ${serve} 2>/tmp/served &
      until grep -q "Listening on" /tmp/served; do sleep 0.1; done
      built; newest
      kill %1; wait %1
      rm -r /opt/zb/* && cp -a /tmp/before/* /opt/zb
      systemctl start zb-serve.socket zb-serve.service; built
      ${registry}
      echo "# from-zb.md"
      { ${replace}
      } >/tmp/replaced 2>&1 || cat /tmp/replaced
      grep adopted /tmp/replaced
      built; newest
      systemctl is-active zb-serve.service kiln-serve.service
      echo "# installing.md"
      echo '${changes.replaceAll(/\s{2,}/g, "\n")}' > /tmp/changes
      printf '#!/bin/sh\\nsed -i "2r /tmp/changes" "$1"\\n' > /tmp/editor && chmod +x /tmp/editor
      cat > /tmp/edit <<'END'
${edit}
END
      SYSTEMD_EDITOR=/tmp/editor script -qec "bash -e /tmp/edit" /dev/null
      tr '\\0' ' ' < "/proc/$(systemctl show -P MainPID kiln-serve.service)/cmdline" | grep -o -- '--jobs=8'`,
      [npmCache, dirname(zb ?? "")],
    );
    const [path = "", ...rest] = lines;
    assert.match(path, /^\/opt\/zb\/store\/\S+-hello$/);
    assert.deepEqual(rest, [
      "# adopting.md",
      "adopted 2 objects of 488 B, 1 realisation, 1 build",
      "zb's database is kept: /opt/zb/var/zb/db.sqlite.zb",
      "kiln: kiln serve is ready to take zb's place",
      path,
      "reused",
      path,
      "# from-zb.md",
      "adopted 2 objects of 488 B, 1 realisation, 2 builds",
      path,
      "reused",
      "inactive",
      "active",
      "# installing.md",
      "--jobs=8",
    ]);
  },
);
