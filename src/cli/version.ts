/** What this is and where it runs. */
import { readFileSync } from "node:fs";
import { availableParallelism, release, type, version as kernel } from "node:os";
import { hostSystem } from "../build/system.ts";
import { kilnVersion } from "../server/version.ts";

export interface VersionReport {
  readonly kiln: string;
  readonly node: string;
  readonly system: string;
  readonly cpus: number;
  readonly os: string;
  readonly distribution?: string;
}

export function versionReport(): VersionReport {
  const distribution = distributionName();
  return {
    kiln: kilnVersion,
    node: process.versions.node,
    system: hostSystem(),
    cpus: availableParallelism(),
    os: `${type()} ${release()} ${kernel()}`,
    ...(distribution === undefined ? {} : { distribution }),
  };
}

/** As zb prints it: the name, then facts. */
export function versionLines(report: VersionReport): string[] {
  const facts: [string, string | undefined][] = [
    ["System", report.system],
    ["CPUs", String(report.cpus)],
    ["OS", report.os],
    ["Distribution", report.distribution],
    ["Node.js", report.node],
  ];
  return [
    `kiln ${report.kiln}`,
    ...facts.flatMap(([name, value]) =>
      value === undefined ? [] : [`${`${name}:`.padEnd(13)} ${value}`],
    ),
  ];
}

function distributionName(): string | undefined {
  try {
    const line = /^PRETTY_NAME=(.*)$/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
    return line?.replace(/^(["'])(.*)\1$/, "$2");
  } catch {
    return undefined;
  }
}
