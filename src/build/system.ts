/** Which machines a derivation's `system` asks for, and whether this is one. */

/** A derivation with this system is built by the store itself, on any machine. */
export const builtinSystem = "builtin";

interface Family {
  readonly cpu: string;
  readonly bits: 32 | 64;
}

const x86 = /^i[3-9]86$/;
const x86wide: readonly string[] = ["x86_64", "amd64", "x86_64h"];

function cpuFamily(cpu: string): Family | undefined {
  if (x86wide.includes(cpu)) return { cpu: "x86", bits: 64 };
  if (x86.test(cpu)) return { cpu: "x86", bits: 32 };
  if (cpu === "aarch64" || cpu === "arm64") return { cpu: "arm", bits: 64 };
  if (cpu === "arm") return { cpu: "arm", bits: 32 };
  if (cpu === "riscv64") return { cpu: "riscv", bits: 64 };
  if (cpu === "riscv32") return { cpu: "riscv", bits: 32 };
  return undefined;
}

function osFamily(os: string): string | undefined {
  if (os.startsWith("linux")) return "linux";
  if (os.startsWith("darwin") || os.startsWith("macos")) return "macos";
  if (/^(?:windows|win32|cygwin|mingw)/.test(os)) return "windows";
  return undefined;
}

/** This machine, as `x86_64-linux`. */
export function hostSystem(
  platform: NodeJS.Platform = process.platform,
  arch: string = process.arch,
): string {
  const cpus: Record<string, string> = { x64: "x86_64", ia32: "i686", arm64: "aarch64" };
  const systems: Record<string, string> = { darwin: "apple-macos", win32: "pc-windows" };
  return `${cpus[arch] ?? arch}-${systems[platform] ?? platform}`;
}

/**
 * Whether `host` can run builders for the system `wanted`.
 *
 * A system is words between dashes: the CPU first, the operating system any later one; case counts. The operating systems must be
 * of one family and so must the CPUs; a 64-bit host runs 32-bit builders of its family.
 */
export function canBuildFor(wanted: string, host: string): boolean {
  if (wanted === builtinSystem) return true;
  const [wantedCPU = "", ...wantedRest] = wanted.split("-");
  const [hostCPU = "", ...hostRest] = host.split("-");
  const hostOS = hostRest.map(osFamily).find((family) => family !== undefined);
  const sameOS =
    hostOS === undefined
      ? wantedRest.join("-") === hostRest.join("-")
      : wantedRest.some((word) => osFamily(word) === hostOS);
  if (wantedCPU === "" || !sameOS) return false;
  const want = cpuFamily(wantedCPU);
  const have = cpuFamily(hostCPU);
  if (want === undefined || have === undefined) return wantedCPU === hostCPU;
  return want.cpu === have.cpu && want.bits <= have.bits;
}
