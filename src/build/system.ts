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
  if (os.startsWith("ios")) return "ios";
  if (/^(?:windows|win32)/.test(os) || emulation.test(os)) return "windows";
  return undefined;
}

/** Windows with an environment of its own: nothing may follow. */
const emulation = /^(?:cygwin|mingw)/;

/** The CPU and the operating system in `CPU-OS`, `CPU-OS-ENVIRONMENT`, `CPU-VENDOR-OS` or `CPU-VENDOR-OS-ENVIRONMENT`. */
function parseSystem(system: string): { cpu: string; os: string } | undefined {
  const words = system.split("-");
  const [cpu = "", second = "", third = ""] = words;
  if (cpu === "" || words.length < 2 || words.length > 4) return undefined;
  const emulated = words.findIndex((word) => emulation.test(word));
  if (emulated !== -1 && words.slice(emulated + 1).some((word) => word !== "")) return undefined;
  const hasVendor =
    words.length === 4 ||
    (words.length === 3 && second !== "none" && osFamily(second) === undefined);
  return { cpu, os: hasVendor ? third : second };
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
 * Whether `host` can run builders for the system `wanted`: the operating systems must be of one family and so must the CPUs; a
 * 64-bit host runs 32-bit builders of its family. Case counts.
 */
export function canBuildFor(wanted: string, host: string): boolean {
  if (wanted === builtinSystem) return true;
  const want = parseSystem(wanted);
  const have = parseSystem(host);
  if (want === undefined || have === undefined) return false;
  const sameOS = (osFamily(want.os) ?? want.os) === (osFamily(have.os) ?? have.os);
  if (!sameOS) return false;
  const wantedCPU = cpuFamily(want.cpu);
  const haveCPU = cpuFamily(have.cpu);
  if (wantedCPU === undefined || haveCPU === undefined) return want.cpu === have.cpu;
  return wantedCPU.cpu === haveCPU.cpu && wantedCPU.bits <= haveCPU.bits;
}
