/**
 * The system calls that builders cannot make, as a program for the kernel (seccomp): what no namespace shuts off from the host or
 * from other builds, and what a builder has no use for and the kernel has often got wrong.
 *
 * Keyrings would be shared with the daemon; sockets of virtual machines reach the machine outside; the rest is surface.
 */

/** Of a system call as the filter sees it (`struct seccomp_data`): its number, the kind of program, the first argument. */
const [callAt, architectureAt, argumentAt] = [0, 4, 16];

/** Operations of a filter (`linux/bpf_common.h`). */
const [load, ifEqual, ifAtLeast, answer] = [0x20, 0x15, 0x35, 0x06];

const allow = 0x7fff0000;
const fail = (errno: number): number => 0x00050000 | errno;
/** As on a kernel that does not have it: programs know what to do then. */
const notThere = fail(38);
const noSuchFamily = fail(97);

/** Unix, IPv4, IPv6, netlink, packet: those that belong to a network namespace, and that programs use. */
const families = [1, 2, 10, 16, 17];

interface Architecture {
  /** As audit knows it: the ELF machine, and bits for 64 bit and little-endian. */
  readonly id: number;
  /** add_key, request_key, keyctl, bpf, perf_event_open, userfaultfd, syslog, open_by_handle_at, three of io_uring. */
  readonly refused: readonly number[];
  /** socket, socketpair: the family is the first argument. */
  readonly sockets: readonly number[];
  /** The old call for everything about sockets, whose family cannot be seen here: not for making one. */
  readonly socketCall?: number;
  /** From this number on they mean something else. */
  readonly end?: number;
}

const ring = [425, 426, 427];
const x64: Architecture = {
  id: 0xc000003e,
  refused: [248, 249, 250, 321, 298, 323, 103, 304, ...ring],
  sockets: [41, 53],
  end: 0x40000000,
};
const x86: Architecture = {
  id: 0x40000003,
  refused: [286, 287, 288, 357, 336, 374, 103, 342, ...ring],
  sockets: [359, 360],
  socketCall: 102,
};
const arm64: Architecture = {
  id: 0xc00000b7,
  refused: [217, 218, 219, 280, 241, 282, 116, 265, ...ring],
  sockets: [198, 199],
};
const arm: Architecture = {
  id: 0x40000028,
  refused: [309, 310, 311, 386, 364, 388, 103, 371, ...ring],
  sockets: [281, 288],
};

/** What each machine runs. */
const machines: Readonly<Record<string, Machine>> = {
  x64: {
    architectures: [x64, x86],
    calls: {
      prctl: 157,
      keyctl: 250,
      capget: 125,
      capset: 126,
      clock_gettime: 228,
      clone: 56,
      dup3: 292,
      execve: 59,
      mount: 165,
      prlimit: 302,
      sethostname: 170,
      unshare: 272,
      setsid: 112,
      setgroups: 116,
      setresgid: 119,
      setresuid: 117,
    },
  },
  arm64: {
    architectures: [arm64, arm],
    calls: {
      prctl: 167,
      keyctl: 219,
      capget: 90,
      capset: 91,
      clock_gettime: 113,
      clone: 220,
      dup3: 24,
      execve: 221,
      mount: 40,
      prlimit: 261,
      sethostname: 161,
      unshare: 97,
      setsid: 157,
      setgroups: 159,
      setresgid: 149,
      setresuid: 147,
    },
  },
};

export interface Machine {
  readonly architectures: readonly Architecture[];
  /** Numbers of the system calls that put it in place, and that make sandboxes. */
  readonly calls: Readonly<Record<string, number>>;
}

/** Undefined where no filter is known. `name`: as in `process.arch`. */
export function machineCalled(name: string): Machine | undefined {
  return machines[name];
}

/** The filter, as an array of `struct sock_filter`. */
export function callFilter({ architectures }: Machine): Buffer {
  const steps = [
    step(load, architectureAt),
    ...architectures.flatMap((architecture) => {
      const block = filterOf(architecture);
      return [step(ifEqual, architecture.id, 0, block.length), ...block];
    }),
    step(answer, notThere),
  ];
  return Buffer.concat(steps);
}

function filterOf({ refused, sockets, socketCall, end }: Architecture): Buffer[] {
  const byFamily = [
    step(load, argumentAt),
    ...families.flatMap((family) => when(ifEqual, family, [step(answer, allow)])),
    step(answer, noSuchFamily),
  ];
  // 1 is SYS_SOCKET, 8 is SYS_SOCKETPAIR: programs then try the calls of their own.
  const byOrder = [
    step(load, argumentAt),
    ...[1, 8].flatMap((order) => when(ifEqual, order, [step(answer, notThere)])),
    step(answer, allow),
  ];
  return [
    step(load, callAt),
    ...(end === undefined ? [] : when(ifAtLeast, end, [step(answer, notThere)])),
    ...refused.flatMap((number) => when(ifEqual, number, [step(answer, notThere)])),
    ...sockets.flatMap((number) => when(ifEqual, number, byFamily)),
    ...(socketCall === undefined ? [] : when(ifEqual, socketCall, byOrder)),
    step(answer, allow),
  ];
}

function when(test: number, value: number, then: readonly Buffer[]): Buffer[] {
  return [step(test, value, 0, then.length), ...then];
}

/** One instruction; `ifTrue` and `ifFalse`: how many of the next ones are left out. In the byte order of the machines we know. */
function step(operation: number, value: number, ifTrue = 0, ifFalse = 0): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(operation, 0);
  bytes.writeUInt8(ifTrue, 2);
  bytes.writeUInt8(ifFalse, 3);
  bytes.writeUInt32LE(value, 4);
  return bytes;
}
