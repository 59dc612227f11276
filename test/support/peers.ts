/**
 * The real zb, found beside the checkout or named by ZB= (v0.1.0) and ZB_HEAD= (newest). Never part of the project.
 */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface Peer {
  /** Path of the program. */
  readonly path: string;
}

const beside = (name: string): string =>
  fileURLToPath(new URL(`../../../shared/peers/${name}`, import.meta.url));

function find(variable: string, name: string): string | undefined {
  const named = process.env[variable];
  if (named !== undefined && named !== "") {
    if (!existsSync(named)) throw new Error(`${variable}=${named}: no such file`);
    return named;
  }
  const path = beside(name);
  return existsSync(path) ? path : undefined;
}

/** zb v0.1.0, or undefined. */
export const zb: string | undefined = find("ZB", "zb-0.1.0-linux-amd64");
/** The newest zb, or undefined. */
export const zbHead: string | undefined = find("ZB_HEAD", "zb-head-linux-amd64");

/** For `test(name, { skip: needsZb }, …)`. */
export const needsZb: string | false = zb === undefined && "zb v0.1.0 was not found (set ZB=PATH)";
export const needsZbHead: string | false =
  zbHead === undefined && "the newest zb was not found (set ZB_HEAD=PATH)";
