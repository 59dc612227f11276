// Builders that know how they are shut in, and try to get out, to meet each other, or to break what comes after them.
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Bench, daemonModes } from "./support/sandbox.ts";
import type { BenchBuild } from "./support/sandbox-bench.ts";

/** For builders in perl: `try("name", number, arguments…)` makes a system call and prints how it went. */
const prelude = `$| = 1; sub try { my ($n, $c, @a) = @_; push @a, 0 while @a < 5;
  my $r = syscall $c, $a[0], $a[1], $a[2], $a[3], $a[4]; print "$n: ", $r == -1 ? "$!" : "done", "\\n"; $r }`;

/** A builder in perl. System calls are those of x86-64, where these tests run. */
function perl(code: string, more: BenchBuild = {}): BenchBuild {
  return { builder: "/usr/bin/perl", args: ["-e", `${prelude}\n${code}`], ...more };
}

/** A program that makes one system call of 32-bit programs and ends with the number of its error, in hex. */
function oldCall(number: number): string {
  // mov eax, number; xor ebx, ebx; xor ecx, ecx; xor edx, edx; int 0x80; neg eax; mov edi, eax; mov eax, 60; syscall
  const [before, after] = ["b8", "31db31c931d2cd80f7d889c7b83c0000000f05"];
  const operand = Buffer.from(Uint32Array.of(number).buffer).toString("hex");
  const code = Buffer.from(before + operand + after, "hex");
  const bytes = Buffer.alloc(120 + code.length);
  bytes.write("\x7fELF\x02\x01\x01", "latin1");
  bytes.set([2, 0, 62, 0, 1], 16); // a program for x86-64
  for (const [at, value] of [
    [24, 0x400078], // where it starts
    [32, 64], // where its one segment is described
    [80, 0x400000],
    [96, bytes.length],
    [104, bytes.length],
  ] as const) {
    bytes.writeBigUInt64LE(BigInt(value), at);
  }
  bytes.set([64, 0, 56, 0, 1], 52);
  bytes.set([1, 0, 0, 0, 5], 64);
  bytes.set(code, 120);
  return bytes.toString("hex");
}

/** What builders of these tests find in their root directory. */
const inRoot = "bin build dev etc lib lib64 node opt proc shared tmp usr".split(" ");
const inRootBelow = (folder: string): string => inRoot.map((name) => `${folder}/${name}`).join(" ");

interface Attack {
  readonly name: string;
  readonly build: BenchBuild;
  readonly log: string | RegExp;
  /** Of no use against a plain user's daemon. */
  readonly isForRoot?: boolean;
}

const attacks: readonly Attack[] = [
  {
    name: "system calls that reach past namespaces are not there",
    build: perl(`
      my ($t, $d, $p, $b) = ("user", "x", "y", "\\0" x 256);
      try("keyctl", 250, 0, -3, 1); try("add_key", 248, $t, $d, $p, 1, -4); try("request_key", 249, $t, $d, 0, 0);
      try("bpf", 321, 0, $b, 72); try("perf_event_open", 298, $b, 0, -1, -1); try("userfaultfd", 323, 1);
      try("io_uring_setup", 425, 4, $b); try("syslog", 103, 10); try("open_by_handle_at", 304, 0, $b);
      try("x32", 0x40000027);`),
    log: "keyctl add_key request_key bpf perf_event_open userfaultfd io_uring_setup syslog open_by_handle_at x32"
      .split(" ")
      .map((name) => `${name}: Function not implemented\n`)
      .join(""),
  },
  {
    name: "there are no sockets but those of a network namespace",
    build: perl(`try($_, 41, $_, 1) for 1, 2, 10, 30, 31, 38, 40, 42, 44;`),
    log: /^1: done\n2: done\n10: done\n(?:\d+: Address family not supported by protocol\n){6}$/,
  },
  {
    name: "calls of 32-bit programs are no way around that",
    build: {
      script: `for code in ${oldCall(288)} ${oldCall(103)} ${oldCall(20)}; do
        perl -e 'print pack "H*", $ARGV[0]' $code >call; chmod +x call; ./call; echo $?; done`,
    },
    // The last one is getpid, and succeeds.
    log: /^38\n38\n(?!38\n)\d+\n$/,
  },
  {
    name: "the daemon's keys are not seen",
    build: { script: "cat /proc/keys | grep -c kiln-secret || :" },
    log: "0\n",
    // Whose keys they are sees their names, though nothing can be done with them.
    isForRoot: true,
  },
  {
    name: "processes that are not the builder's cannot be traced, read or written",
    build: perl(`for my $pid (1 .. 30) {
        next if $pid == $$;
        for (["ptrace", 101, 16, $pid, 0, 0, 0], ["seize", 101, 0x4206, $pid, 0, 0, 0], ["read", 310, $pid, pack("QQ", 0, 0), 1, pack("QQ", 4096, 1), 1]) {
          my ($n, @c) = @$_; print "$n $pid\\n" if syscall($c[0], $c[1], $c[2], $c[3], $c[4], $c[5]) == 0;
        }
        for my $f ("mem", "environ", "root/etc/hosts", "cwd/x", "fd/0", "maps") { print "$pid/$f\\n" if open my $x, "<", "/proc/$pid/$f" }
        print "$pid: list\\n" if opendir my $d, "/proc/$pid/fd";
      }`),
    log: "",
  },
  {
    name: "limits and stops put on other processes do not keep the build from ending well",
    build: perl(`for my $pid (1 .. 30) { next if $pid == $$;
        my $none = "\\0" x 16; for my $what (1, 4, 6, 7) { try("", 302, $pid, $what + 0, $none, 0) } kill STOP => $pid; }
      symlink "x", $ENV{out}; print "made\\n";`),
    log: /^(?::.*\n)+made\n$/,
  },
  {
    name: "nothing of the host is mounted, or found, in namespaces within",
    build: {
      script: `mkdir /tmp/p /tmp/s /tmp/c
        unshare -Urm sh -c 'mount -t proc proc /tmp/p' 2>/dev/null && echo "proc of all"
        unshare -Urmpf sh -c 'mount -t proc proc /tmp/p && ls /tmp/p | grep -c "^[0-9]"' | { read n; [ $n -lt 5 ] && echo few; }
        for t in sysfs devtmpfs debugfs tracefs securityfs configfs ext4 btrfs; do
          unshare -Urm mount -t $t none /tmp/s 2>/dev/null && echo $t; done
        unshare -Urmn sh -c 'mount -t sysfs none /tmp/s' 2>/dev/null && echo sysfs
        unshare -UrC --mount sh -c 'mount -t cgroup2 none /tmp/c && mkdir /tmp/c/x' 2>/dev/null && echo "made a group"; :`,
    },
    log: "few\n",
  },
  {
    name: "the root directory is one, whatever is done to it",
    build: {
      script: `cat >out.pl <<'EOF'
mkdir "/tmp/jail"; opendir my $root, "/"; chroot "/tmp/jail" or die "chroot: $!"; chdir $root or die "chdir: $!";
chdir ".." for 1 .. 100; chroot "."; opendir my $here, "."; print join(" ", sort grep { !/^\\./ } readdir $here), "\\n";
EOF
        unshare -Urm perl out.pl
        unshare -Urm sh -c 'mkdir /tmp/new && mount -t tmpfs t /tmp/new && mkdir /tmp/new/old && cd /tmp/new && pivot_root . old && echo /* && echo /old/*'
        unshare -Urm sh -c 'mkdir /tmp/all && mount --rbind / /tmp/all && cd /tmp/all && echo ./*; umount -R /tmp/all/opt 2>/dev/null && echo bare'
        unshare -Urm nsenter --mount=/proc/self/ns/mnt sh -c "echo /*"`,
    },
    log: `${inRoot.join(" ")}\n/old\n${inRootBelow("/old")}\n${inRootBelow(".")}\n${inRootBelow("")}\n`,
  },
  {
    name: "there is no terminal to type on",
    build: perl(`print open(my $t, "<", "/dev/tty") ? "a terminal" : "$!", "\\n";
      my $key = "x"; ioctl STDIN, 0x5412, $key and print "typed\\n";`),
    log: "No such device or address\n",
  },
  {
    name: "what a sandbox consists of cannot be moved, removed or replaced",
    build: {
      script: `for p in /dev /dev/null /dev/pts /dev/shm /proc /etc /etc/hosts /build /tmp /opt /opt/zb $ZB_STORE /bin /node; do
        mv $p /build/moved 2>/dev/null && echo "moved $p"
        rmdir $p 2>/dev/null && echo "removed $p"
        rm -f $p 2>/dev/null && echo "unlinked $p"
        done; :`,
    },
    log: "",
  },
];

for (const mode of daemonModes) {
  describe(`an attack by a builder, ${mode.name},`, { concurrency: false }, () => {
    let bench: Bench;
    let shared: string;

    before(async () => {
      // A daemon as somebody may have started it: with the keys of a login, and files that are open for no reason.
      const secrets = `syscall 250, 1, 0; my ($t, $d, $p) = ("user", "kiln-secret", "key"); syscall 248, $t, $d, $p, 3, -3; exec @ARGV`;
      const open = 'exec 7</etc/passwd 30</ 251</etc && exec "$@"';
      const through = ["perl", "-e", secrets, "--", "bash", "-c", open, "bash"];
      const folder = Bench.newFolder(mode);
      shared = join(folder, "shared");
      mkdirSync(shared);
      chmodSync(shared, 0o755);
      const options = { paths: { "/shared": shared }, keepDescriptors: true };
      bench = await Bench.open({ ...mode, through }, options, folder);
    });
    after(async () => await bench?.[Symbol.asyncDispose]());

    const here = attacks.filter(({ isForRoot }) => isForRoot !== true || mode.runAs === undefined);
    for (const { name, build, log } of here) {
      test(name, async () => {
        const report = await bench.build(build);
        assert.equal(report.error, undefined, report.log);
        if (typeof log === "string") assert.equal(report.log, log);
        else assert.match(report.log, log);
        assert.deepEqual(report.left, []);
      });
    }

    test("descriptors of the daemon are not passed on", async () => {
      const look =
        'opendir my $d, "/proc/self/fd"; print join(" ", sort grep { /\\d/ } readdir $d), "\\n"';
      assert.equal((await bench.build(perl(look))).log, "0 1 2 3\n");
    });

    test("builds at the same time do not meet", async () => {
      const meet = (mine: string): BenchBuild =>
        perl(`use Socket;
          socket my $abstract, AF_UNIX, SOCK_STREAM, 0; bind $abstract, pack_sockaddr_un("\\0kiln-meeting") and listen $abstract, 9;
          socket my $file, AF_UNIX, SOCK_STREAM, 0; bind $file, pack_sockaddr_un("/tmp/meeting") and listen $file, 9;
          socket my $tcp, AF_INET, SOCK_STREAM, 0; bind $tcp, pack_sockaddr_in(4242, INADDR_ANY) and listen $tcp, 9;
          my $shared = shmget 4242, 64, 01666; my $seen; shmread $shared, $seen, 0, 4; shmwrite $shared, "${mine}", 0, 4;
          my $queue = "meeting"; print "queue: ", syscall(240, $queue, 0302, 0666, 0) >= 0 ? "mine" : "$!", "\\n";
          open my $f, ">", "/dev/shm/${mine}"; mkdir "$_/${mine}" for $ENV{ZB_STORE}, "/tmp", "/build";
          print "ready\\n"; select undef, undef, undef, 0.02 until -e "/shared/go";
          $seen =~ s/\\0//g; print "shared memory: $seen\\n";
          my $in = ""; vec($in, fileno $_, 1) = 1 for $abstract, $file, $tcp; print "calls: ", 0 + select($in, undef, undef, 0), "\\n";
          print join(" ", map { my $d = $_; opendir my $x, $d; sort grep { !/^\\./ } readdir $x } "/dev/shm", $ENV{ZB_STORE}, "/tmp", "/build"), "\\n";`);
      const call =
        perl(`use Socket; my @ways = ([AF_UNIX, pack_sockaddr_un("\\0kiln-meeting")], [AF_UNIX, pack_sockaddr_un("/tmp/meeting")], [AF_INET, pack_sockaddr_in(4242, INADDR_LOOPBACK)]);
        for (@ways) { socket my $s, $_->[0], SOCK_STREAM, 0; print connect($s, $_->[1]) ? "connected" : "$!", "\\n" }
        print shmget(4242, 64, 0) // "$!", "\\n"; my $queue = "meeting"; try("queue", 240, $queue, 2, 0, 0);
        my @seen = grep { $_ != $$ && kill 0, $_ } 10 .. 300; print "lives: @seen\\n";`);
      const building = ["ours", "them"].map(async (mine) => (await bench.build(meet(mine))).log);
      const caller = await bench.build(call);
      writeFileSync(join(shared, "go"), "");
      for (const [index, log] of (await Promise.all(building)).entries()) {
        const mine = ["ours", "them"][index];
        assert.equal(
          log,
          `queue: mine\nready\nshared memory: \ncalls: 0\n${mine} ${mine} meeting ${mine} ${mine}\n`,
        );
      }
      assert.equal(
        caller.log,
        "Connection refused\nNo such file or directory\nConnection refused\nNo such file or directory\nqueue: No such file or directory\nlives: \n",
      );
    });

    test("what a builder does to its standard output does not reach the next one", async () => {
      // Its mode, the size of the pipe, whether it blocks, who is told; and then a death in the middle.
      const spoil =
        perl(`chmod 0, "/proc/self/fd/1"; fcntl STDOUT, 1031, 4096; fcntl STDOUT, 4, 024000; fcntl STDOUT, 8, getppid;
        print "spoilt\\n"; kill KILL => $$;`);
      const line = "x".repeat(99);
      for (let round = 0; round < 2; round++) {
        assert.equal((await bench.build(spoil)).log, "spoilt\n");
        const next = await bench.build({
          script: `echo again >/dev/stdout; i=0; while [ $i -lt 3000 ]; do echo ${line}; i=$((i+1)); done`,
        });
        assert.equal(next.log, `again\n${`${line}\n`.repeat(3000)}`);
      }
    });

    test("names that a builder leaves in the store do not take the place of the next one's inputs", async () => {
      const input = await bench.object("trap", ["f"]);
      const traps = await bench.build({
        script: `ln -s /etc ${input}; mkdir -p $ZB_STORE/x; mkfifo $ZB_STORE/x/y; mknod $ZB_STORE/z c 0 0; ls $ZB_STORE | wc -l`,
      });
      assert.equal(traps.log, "3\n");
      assert.deepEqual(traps.left, []);
      const next = await bench.build({ script: `ls $ZB_STORE ${input}`, inputs: [input] });
      assert.equal(next.log, `/opt/zb/store:\n${input.split("/").at(-1)}\n\n${input}:\nf\n`);
    });

    for (const [what, script] of [
      ["a device that anybody may make", "mknod $out c 0 0"],
      ["one in a directory", "mkdir $out && mknod $out/null c 0 0"],
      [
        "a socket",
        `cd $ZB_STORE && perl -MSocket -e 'socket S, AF_UNIX, SOCK_STREAM, 0; bind S, pack_sockaddr_un($ARGV[0])' \${out##*/}`,
      ],
    ] as const) {
      test(`${what} is no output`, async () => {
        const report = await bench.build({ script });
        assert.equal(report.frozen, "file.type", report.log);
        assert.deepEqual(report.left, []);
      });
    }

    test("trees that are deeper than any path are removed", async () => {
      const report = await bench.build(
        perl(`my $d = "d" x 200; for my $place ("/tmp", "/build", $ENV{ZB_STORE} . "/other", "/dev/shm") {
            mkdir $place; chdir $place or die "$!";
            for (1 .. 40) { mkdir $d or die "$!"; chdir $d or die "$!" } open my $f, ">", "f"; chmod 0, ".";
          }
          chdir "/build"; for (1 .. 2000) { mkdir "e" or die "$!"; chdir "e" or die "$!" }`),
      );
      assert.deepEqual([report.outcome, report.log], [{ type: "exited", code: 0 }, ""]);
      assert.deepEqual(report.left, []);
    });
  });
}
