/**
 * Puts the filter of system calls on everything a sandbox starts. The kernel wants a system call for that, which Node has not: perl
 * makes it, which nearly every system has, or `setpriv` of util-linux 2.41, which does the rest in any case.
 */
import { execFile } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { callFilter, machineCalled } from "./filter.ts";

export interface Guard {
  readonly by: "perl" | "setpriv";
  readonly program: string;
}

/**
 * Words before those of a program: it, and all that it starts, gains no privileges, dies with this process, and makes the system
 * calls that it may.
 *
 * @param setpriv used where there is no guard
 * @param file as {@link writeFilter} wrote it
 */
export function constrain(setpriv: string, guard: Guard | undefined, file: string): string[] {
  if (guard?.by === "perl") {
    const { prctl, keyctl, capget, capset } = callNumbers();
    const numbers = [prctl, keyctl, capget, capset].map(String);
    return [guard.program, "-e", perlScript, "--", ...numbers, file];
  }
  const filter = guard === undefined ? [] : ["--seccomp-filter", file];
  return [setpriv, "--pdeathsig=KILL", "--no-new-privs", "--inh-caps=-all", ...filter, "--"];
}

/** Numbers of system calls on this machine, by their names. */
export function callNumbers(): Readonly<Record<string, number>> {
  return machineCalled(process.arch)?.calls ?? {};
}

/**
 * The same as `setpriv` does, and what it does not: it closes all descriptors but the first four (close_range, which has one number
 * everywhere), and makes a session keyring. That of the daemon may hold what a person logged in with, and its keys have names that
 * /proc/keys shows.
 */
const perlScript = `
my ($prctl, $keyctl, $capget, $capset) = map { $_ + 0 } splice @ARGV, 0, 4;
my $file = shift;
sub must { $_[0] == 0 or die "$_[1]: $!\\n" }
must syscall($prctl, 1, 9), "death signal";
must syscall($prctl, 38, 1, 0, 0, 0), "no new privileges";
my ($header, $sets) = (pack("LL", 0x20080522, 0), "\\0" x 24);
must syscall($capget, $header, $sets), "capget";
my @sets = unpack "L6", $sets;
@sets[2, 5] = (0, 0);
must syscall($capset, $header, pack("L6", @sets)), "capset";
syscall $keyctl, 1, 0;
syscall 436, 4, 0xffffffff, 0;
open my $in, "<:raw", $file or die "$file: $!\\n";
my $filter = do { local $/; <$in> };
must syscall($prctl, 22, 2, pack("S x![P] P", length($filter) / 8, $filter)), "seccomp";
exec { $ARGV[0] } @ARGV or die "$ARGV[0]: $!\\n";
`.replaceAll("\n", " ");

/** Writes the filter for this machine; false if there is none. */
export function writeFilter(file: string): boolean {
  const machine = machineCalled(process.arch);
  if (machine === undefined) return false;
  writeFileSync(file, callFilter(machine), { mode: 0o600 });
  return true;
}

/**
 * The first of these that works here.
 *
 * @param directory an existing private folder
 */
export async function findGuard(
  candidates: readonly Guard[],
  { setpriv, shell, directory }: { setpriv: string; shell: string; directory: string },
): Promise<Guard | undefined> {
  const file = join(directory, "filter");
  if (!writeFilter(file)) return undefined;
  try {
    for (const guard of candidates) {
      if (await works([...constrain(setpriv, guard, file), shell])) return guard;
    }
    return undefined;
  } finally {
    rmSync(file, { force: true });
  }
}

async function works([program = "", ...words]: readonly string[]): Promise<boolean> {
  try {
    const script = 'while read -r line; do echo "$line"; done </proc/self/status';
    const { stdout } = await promisify(execFile)(program, [...words, "-c", script], { env: {} });
    return /^Seccomp:\s*2$/m.test(stdout);
  } catch {
    return false;
  }
}
