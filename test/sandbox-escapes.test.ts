// Every way out of a sandbox that we know of, tried by real builders, in every mode a daemon may run in.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { temporaryDirectory } from "../src/util/temp.ts";
import { Bench, daemonModes, shellModes } from "./support/sandbox.ts";
import type { BenchBuild, BenchReport } from "./support/sandbox-bench.ts";

/** What the host has that no builder may get at. */
interface Surroundings {
  /** A folder of the host that is no sandbox path, world-readable. */
  readonly hostFolder: string;
  /** One that is, and world-writable. */
  readonly shared: string;
  /** Of a server on 127.0.0.1. */
  readonly port: number;
  /** Of an abstract socket. */
  readonly abstractName: string;
  /** Store paths: a folder with a file `f`, a file, and one that is not given to builders. */
  readonly input: string;
  readonly fileInput: string;
  readonly undeclared: string;
}

interface Escape {
  readonly name: string;
  /** `say` prints what is asserted. */
  readonly build: (at: Surroundings) => BenchBuild;
  /** The whole log. */
  readonly log?: string | RegExp;
  readonly check?: (report: BenchReport, at: Surroundings) => void;
}

const attempts = (commands: readonly string[]): string =>
  commands
    .map((command) => `if (${command}) >/dev/null 2>&1; then echo "done: ${command}"; fi`)
    .join("\n");

const escapes: readonly Escape[] = [
  {
    name: "the host's processes are not seen, nor can they be signalled",
    build: () => ({
      script: `ls /proc | grep -c '^[0-9]' | { read n; [ $n -lt 8 ] && echo few; }
        ls -d /proc/1 /proc/1/root 2>/dev/null
        ${attempts([`kill -0 ${process.pid}`, `kill -0 ${process.ppid}`, "ls /proc/1/root/"])}`,
    }),
    log: "few\n",
  },
  {
    name: "files of the host are not seen",
    build: ({ hostFolder }) => ({
      script: `for p in ${hostFolder} /root /home /var /sys /run /boot /etc/shadow /etc/hostname /opt/zb/var /proc/self/root${hostFolder} /..${hostFolder}
        do if [ -e $p ]; then echo "seen: $p"; fi; done; ls /etc; ls /`,
    }),
    log: "group\nhosts\npasswd\nbin\nbuild\ndev\netc\nlib\nlib64\nnode\nopt\nproc\nshared\ntmp\nusr\n",
  },
  {
    name: "of the store only the inputs are seen",
    build: ({ input, fileInput, undeclared }) => ({
      inputs: [input, fileInput],
      script: `ls $ZB_STORE; ${attempts([`ls -d ${undeclared}`, "ls -d $ZB_STORE/.kiln", "ls -A $ZB_STORE/.links"])}`,
    }),
    log: /^\w{32}-file\n\w{32}-input\n$/,
  },
  {
    name: "servers on the host's loopback and on the internet cannot be reached",
    build: ({ port }) => ({
      script: `cat >c.mjs <<'END'
import { connect } from "node:net";
const tried = [[${port}, "127.0.0.1"], [53, "192.0.2.1"], [53, "2001:db8::1"]];
for (const [port, host] of tried) {
  const end = await new Promise((resolve) => {
    connect(port, host).on("connect", () => resolve("connected")).on("error", (e) => resolve(e.code));
  });
  console.log(end);
}
END
      node c.mjs`,
    }),
    log: "ECONNREFUSED\nENETUNREACH\nENETUNREACH\n",
  },
  {
    name: "loopback works within a build",
    build: () => ({
      script: `cat >c.mjs <<'END'
import { connect, createServer } from "node:net";
const server = createServer((socket) => socket.end("hello")).listen(0, "127.0.0.1", () => {
  connect(server.address().port, "127.0.0.1").on("data", (data) => { console.log(String(data)); server.close(); });
});
END
      node c.mjs`,
    }),
    log: "hello\n",
  },
  {
    name: "abstract sockets of the host cannot be reached",
    build: ({ abstractName }) => ({
      script: `cat >c.mjs <<'END'
import { connect } from "node:net";
connect("\\0${abstractName}").on("connect", () => console.log("connected")).on("error", (e) => console.log(e.code));
END
      node c.mjs; cat /proc/net/unix | tail -n +2`,
    }),
    log: "ECONNREFUSED\n",
  },
  {
    name: "shared memory of the host is not seen",
    build: () => ({
      script: "tail -n +2 /proc/sysvipc/shm; ls /dev/shm; ipcs -m | grep -c 0x || :",
    }),
    log: "0\n",
  },
  {
    name: "the host's name is neither seen nor changed",
    build: () => ({
      script: `hostname; ${attempts(["hostname evil", "echo evil >/proc/sys/kernel/hostname"])}; hostname`,
    }),
    log: "localhost\nlocalhost\n",
  },
  {
    name: "the kernel's log and settings are out of reach",
    build: () => ({
      script: attempts([
        "dmesg",
        "head -c 1 /proc/kmsg",
        "head -c 1 /dev/kmsg",
        "echo 1 >/proc/sys/kernel/sysrq",
        "echo x >/proc/sys/kernel/core_pattern",
        "echo b >/proc/sysrq-trigger",
        "echo 0 >/proc/self/oom_score_adj && echo -500 >/proc/self/oom_score_adj",
      ]),
    }),
    log: "",
  },
  {
    name: "inputs cannot be changed",
    build: ({ input, fileInput }) => ({
      inputs: [input, fileInput],
      script: attempts([
        `echo x >${input}/f`,
        `echo x >>${fileInput}`,
        `chmod u+w ${input}`,
        `chmod u+w ${fileInput}`,
        `touch ${input}/new`,
        `rm -f ${input}/f`,
        `mv ${input} ${input}-moved`,
        `mv ${fileInput} /build/`,
        `rm -rf ${input}`,
        `rmdir ${input}`,
        `ln ${input}/f $out`,
        `ln ${fileInput} $out`,
        `ln -sfn /build ${input}`,
      ]),
    }),
    log: "",
  },
  {
    name: "sandbox paths cannot be changed",
    build: () => ({
      script: `cat /shared/note; ${attempts([
        "echo x >/shared/note",
        "touch /shared/new",
        "mkdir /shared/new",
        "rm -f /shared/note",
        "chmod 777 /shared",
        "ln /shared/note $out",
        "touch /usr/new",
        "touch /new",
        "touch /etc/new",
        "echo x >>/etc/passwd",
        "rm /etc/passwd",
        "chmod 666 /dev/null",
        "rm /dev/null",
        "mkdir /dev/new",
        "mv /bin /build/bin",
      ])}`,
    }),
    log: "note\n",
    check: (_, { shared }) => assert.deepEqual(readdirSync(shared), ["note"]),
  },
  {
    name: "mounts cannot be taken away or made writable, not in a user namespace either",
    build: ({ input }) => ({
      inputs: [input],
      script: attempts([
        `umount ${input}`,
        "mount -t tmpfs none /tmp",
        `unshare --user --map-root-user --mount umount ${input}`,
        "unshare --user --map-root-user --mount umount -l /",
        "unshare --user --map-root-user --mount umount /shared",
        `unshare --user --map-root-user --mount mount -o remount,bind,rw ${input}`,
        "unshare --user --map-root-user --mount mount -o remount,bind,rw /",
        "unshare --user --map-root-user --mount mount -o remount,bind,rw /shared",
        "nsenter --target 1 --mount true",
        "nsenter --target 1 --net true",
      ]),
    }),
    log: "",
  },
  {
    name: "no privileges are had or gained",
    build: () => ({
      script: `grep -E '^(Uid|Gid|CapPrm|CapEff|CapInh|CapAmb|NoNewPrivs)' /proc/self/status; id -u; id -g
        ${attempts(["chown 0:0 /build", "setpriv --reuid 0 true", "setpriv --clear-groups true", "mknod /build/d c 1 3", "mknod $out b 254 0", "chroot / /bin/true"])}`,
    }),
    log:
      "Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\nCapInh:\t0000000000000000\n" +
      "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\n1000\n100\n",
  },
  {
    name: "there are no descriptors but the three standard ones",
    build: () => ({
      script: "for fd in /proc/self/fd/*; do echo ${fd##*/}; done; readlink /proc/self/fd/0",
    }),
    log: /^0\n1\n2\n(?:3\n|10\n)?\/dev\/null\n$/,
  },
  {
    name: "the environment is the derivation's alone",
    build: () => ({
      builder: "/usr/bin/env",
      args: [],
      env: { "odd-name": "kept", X: "a\nb'c \"$d\\" },
    }),
    check: ({ log }) => {
      const names = [...log.matchAll(/^([^=\n]+)=/gm)].map(([, name]) => name).toSorted();
      assert.deepEqual(names, [
        "HOME",
        "PATH",
        "PWD",
        "TEMP",
        "TEMPDIR",
        "TERM",
        "TMP",
        "TMPDIR",
        "X",
        "ZB_BUILD_CORES",
        "ZB_BUILD_TOP",
        "ZB_STORE",
        "odd-name",
        "out",
      ]);
      assert.match(log, /^X=a\nb'c "\$d\\$/m);
    },
  },
  {
    name: "variables for the dynamic loader reach no program of the host",
    build: ({ hostFolder }) => ({
      script: "echo built >$out",
      env: {
        LD_DEBUG: "libs",
        LD_DEBUG_OUTPUT: join(hostFolder, "leak"),
        LD_PRELOAD: join(hostFolder, "evil.so"),
        LD_LIBRARY_PATH: hostFolder,
        GCONV_PATH: hostFolder,
        ENV: join(hostFolder, "evil.sh"),
        BASH_ENV: join(hostFolder, "evil.sh"),
        NODE_OPTIONS: "--require=/evil.js",
        "BASH_FUNC_exec%%": "() { echo evil; }",
      },
    }),
    check: ({ output }, { hostFolder }) => {
      assert.equal(output?.content, "built\n");
      assert.deepEqual(readdirSync(hostFolder), ["secret"]);
    },
  },
  {
    name: "a set-user-id program becomes an ordinary one",
    build: () => ({
      script:
        "mkdir $out && cp /bin/true $out/true && chmod 6755 $out/true && ls -l $out | grep -c rwsr-sr-x",
    }),
    log: "1\n",
    check: ({ frozen }) => assert.equal(typeof frozen === "object" && frozen.mode, 0o555),
  },
  {
    name: "a fifo cannot become an output",
    build: () => ({ script: "mkfifo $out" }),
    check: ({ frozen }) => assert.equal(frozen, "file.type"),
  },
  {
    name: "a socket in an output is refused",
    build: () => ({
      script: `mkdir $out; node -e 'process.chdir(process.env.out); const s = require("net").createServer().listen("s", () => { require("fs").linkSync("s", "t"); s.close() })'`,
    }),
    check: ({ frozen }) => assert.equal(frozen, "file.type"),
  },
  {
    name: "a symlink out of the store stays a symlink",
    build: ({ hostFolder }) => ({ script: `ln -s ${hostFolder}/secret $out` }),
    check: ({ output, frozen }, { hostFolder }) => {
      assert.equal(output?.type, "link");
      assert.deepEqual(typeof frozen === "object" && [frozen.type, frozen.content], [
        "link",
        join(hostFolder, "secret"),
      ]);
    },
  },
  {
    name: "a directory that nobody may enter is moved out all the same",
    build: () => ({ script: "mkdir $out && echo x >$out/x && chmod 000 $out" }),
    check: ({ frozen }) => assert.deepEqual(typeof frozen === "object" && frozen.content, ["x"]),
  },
  {
    name: "what is left beside the outputs goes, whatever its name and mode",
    build: () => ({
      script: `mkdir -p $ZB_STORE/a/b /tmp/c/d d && chmod 000 $ZB_STORE/a/b /tmp/c/d d
        printf 'x' >"$(printf "$ZB_STORE/\\\\377\\\\376")"; chmod 000 $ZB_STORE/a; chmod 000 $ZB_STORE /tmp /build; mkfifo /dev/shm/f; exit 0`,
    }),
    log: /^(?:chmod: .*\n)*$/,
  },
  {
    name: "the first process cannot be killed, and nothing is gained by killing what else there is",
    build: () => ({
      script:
        "kill -9 1; kill -9 -1; sleep 0.3; echo x >$out; chmod 000 /dev/stdout /dev/stderr 2>/dev/null; :",
    }),
    check: ({ outcome, output }) => {
      assert.deepEqual(outcome, { type: "exited", code: 0 });
      assert.equal(output?.content, "x\n");
    },
  },
  {
    name: "a process that left its session is gone with the build",
    build: () => ({
      script:
        "(setsid sh -c 'trap \"\" TERM HUP INT; sleep 1000' >/dev/null 2>&1 &) ; sleep 0.1; echo x >$out",
    }),
    log: "",
  },
  {
    name: "a fork bomb that outlives its parent is gone with the build",
    build: () => ({
      script:
        "for i in 1 2 3 4 5 6 7 8; do (setsid sh -c 'while :; do (sleep 1000 &); sleep 0.01; done' >/dev/null 2>&1 &); done; sleep 0.2; exit 3",
    }),
    check: ({ outcome }) => assert.deepEqual(outcome, { type: "exited", code: 3 }),
  },
];

for (const mode of [...daemonModes, ...shellModes]) {
  describe(`a builder, ${mode.name},`, { concurrency: false }, () => {
    let bench: Bench;
    let server: Server;
    let abstract: Server;
    let at: Surroundings;
    const stack = new AsyncDisposableStack();

    before(async () => {
      const folder = stack.use(await temporaryDirectory(tmpdir(), "kiln-escapes-"));
      chmodSync(folder.path, 0o755);
      const [hostFolder, shared] = [join(folder.path, "host"), join(folder.path, "shared")];
      for (const path of [hostFolder, shared]) {
        mkdirSync(path);
        chmodSync(path, 0o777);
      }
      writeFileSync(join(hostFolder, "secret"), "secret\n", { mode: 0o644 });
      writeFileSync(join(shared, "note"), "note\n", { mode: 0o666 });
      chmodSync(join(shared, "note"), 0o666);
      bench = stack.use(await Bench.open(mode, { paths: { "/shared": shared } }));
      server = createServer().listen(0, "127.0.0.1");
      const abstractName = `kiln-test-${process.pid}-${Math.random()}`;
      abstract = createServer().listen(`\0${abstractName}`);
      await Promise.all([once(server, "listening"), once(abstract, "listening")]);
      const address = server.address();
      const segment =
        /\d+/.exec(execFileSync("ipcmk", ["-M", "64"], { encoding: "utf8" }))?.[0] ?? "";
      stack.defer(() => void execFileSync("ipcrm", ["-m", segment]));
      at = {
        hostFolder,
        shared,
        port: typeof address === "object" && address !== null ? address.port : 0,
        abstractName,
        input: await bench.object("input", ["f"]),
        fileInput: await bench.object("file", "text"),
        undeclared: await bench.object("undeclared", ["f"]),
      };
    });
    after(async () => {
      server.close();
      abstract.close();
      await stack.disposeAsync();
    });

    for (const escape of escapes) {
      test(escape.name, async () => {
        const report = await bench.build(escape.build(at));
        assert.equal(report.error, undefined);
        if (typeof escape.log === "string") assert.equal(report.log, escape.log);
        else if (escape.log !== undefined) assert.match(report.log, escape.log);
        escape.check?.(report, at);
        assert.deepEqual(report.left, [], "something is left");
      });
    }

    test("other builds are not seen", async () => {
      const first = bench.build({
        script: `echo secret >/tmp/secret; echo secret >secret; echo secret >$out; echo secret >/dev/shm/secret; echo ready
          while [ ! -e ${join("/shared", "go")} ]; do sleep 0.02; done; ls /tmp /dev/shm $ZB_STORE | grep other || :`,
      });
      const second = await bench.build({
        script: `sleep 0.3; echo x >/tmp/other; echo x >/dev/shm/other; echo x >$ZB_STORE/other
          ls -A /tmp /build /dev/shm | grep secret; ls $ZB_STORE; ls /proc | grep -c '^[0-9]' | { read n; [ $n -lt 7 ] && echo few; }`,
      });
      writeFileSync(join(at.shared, "go"), "");
      assert.equal(second.log, "other\nfew\n");
      assert.equal((await first).log, "ready\n");
      assert.equal((await first).output?.content, "secret\n");
    });

    test("outputs belong to the builder and never to root", async () => {
      const { output } = await bench.build({ script: "echo x >$out" });
      assert.ok(output !== undefined && mode.owner(output.uid));
    });
  });
}

test("the host still is as it was", () => {
  assert.ok(
    existsSync("/dev/null") && readFileSync("/proc/sys/kernel/hostname", "utf8") !== "evil\n",
  );
});
