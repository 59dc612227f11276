/** The files by which systemd (Linux) and launchd (macOS) start the daemon. */

/** What the daemon of an installation is told. */
export interface DaemonCommand {
  /** The installed command. */
  readonly program: string;
  /** Flags of `kiln serve`, each one word. */
  readonly flags: readonly string[];
  /** Where the daemon listens. */
  readonly socket: string;
  /** Directories that have to be mounted before it starts. */
  readonly places: readonly string[];
  /** Whether the machine's service manager runs it, not a user's. */
  readonly isOfSystem: boolean;
  /** Group that may use the socket; undefined: root (or the user) alone. */
  readonly socketGroup: string | undefined;
}

/** Written into every file, so that uninstalling never removes somebody else's. */
export const mark = "Written by kiln install; kiln uninstall removes it.";

/**
 * The socket exists before the daemon, so a client that comes early waits instead of failing.
 */
export function systemdSocket(daemon: DaemonCommand): string {
  return `# ${mark}
[Unit]
Description=Kiln store and build daemon, its socket
Conflicts=zb-serve.socket
${daemon.places.map((place) => `RequiresMountsFor=${place}`).join("\n")}

[Socket]
ListenStream=${escapeUnit(daemon.socket)}
SocketMode=0660
${daemon.socketGroup === undefined ? "" : `SocketGroup=${daemon.socketGroup}\n`}DirectoryMode=0755

[Install]
WantedBy=sockets.target
`;
}

/**
 * What the machine's daemon does not need, and its builders then have not got either. It makes namespaces, changes users and mounts, so
 * much of systemd's confinement would take from it what it lives by: ProtectHostname keeps builders from having a name of their
 * own, ProtectKernelTunables from having root's way into a sandbox. A user's service manager cannot do any of this.
 */
const confinement = `ProtectSystem=full
ProtectHome=read-only
ProtectClock=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
CapabilityBoundingSet=~CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_AUDIT_WRITE CAP_BLOCK_SUSPEND CAP_BPF CAP_LINUX_IMMUTABLE
CapabilityBoundingSet=~CAP_MAC_ADMIN CAP_MAC_OVERRIDE CAP_PERFMON CAP_SYS_BOOT CAP_SYS_PACCT CAP_SYS_RAWIO
SystemCallFilter=~@raw-io @reboot @swap
SystemCallErrorNumber=EPERM
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET
`;

/** `KillMode=mixed` gives the daemon the time to end its builders by itself. */
export function systemdService(daemon: DaemonCommand): string {
  const words = [daemon.program, "serve", "--systemd", ...daemon.flags].map(quoteUnitWord);
  return `# ${mark}
[Unit]
Description=Kiln store and build daemon
Requires=kiln-serve.socket
After=kiln-serve.socket
Conflicts=zb-serve.service
${daemon.places.map((place) => `RequiresMountsFor=${place}`).join("\n")}

[Service]
Type=notify
NotifyAccess=all
Environment=KILN_SERVE_FLAGS=
${daemon.isOfSystem ? "CacheDirectory=kiln\nEnvironment=XDG_CACHE_HOME=/var/cache\n" : ""}ExecStart=${words.join(" ")} $KILN_SERVE_FLAGS
KillMode=mixed
TimeoutStopSec=30
Restart=on-failure
Delegate=yes
LimitNOFILE=65536
TasksMax=infinity
OOMPolicy=continue
LockPersonality=yes
RestrictRealtime=yes
${daemon.isOfSystem ? confinement : ""}
[Install]
WantedBy=multi-user.target default.target
`;
}

/** launchd keeps the daemon running; it makes its socket itself. */
export function launchdService(daemon: DaemonCommand, log: string): string {
  const words = [daemon.program, "serve", `--store-socket=${daemon.socket}`, ...daemon.flags];
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- ${mark} -->
<plist version="1.0">
  <dict>
    <key>Label</key>
    <string>kiln-serve</string>
    <key>KeepAlive</key>
    <true/>
    <key>RunAtLoad</key>
    <true/>
    <key>ProgramArguments</key>
    <array>
${words.map((word) => `      <string>${escapeXml(word)}</string>`).join("\n")}
    </array>
    <key>StandardErrorPath</key>
    <string>${escapeXml(log)}</string>
  </dict>
</plist>
`;
}

/** `%` begins a specifier in unit files. */
function escapeUnit(text: string): string {
  return text.replaceAll("%", "%%");
}

/** A word of ExecStart=: quoted where systemd would split or expand it. */
function quoteUnitWord(word: string): string {
  const text = escapeUnit(word).replaceAll("$", "$$$$");
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
