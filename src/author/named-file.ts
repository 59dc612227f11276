/** The files and folders that a build file names. */
import { existsSync, lstatSync, readFileSync, readdirSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { bytesToString } from "../util/byte-string.ts";
import { context } from "./context.ts";
import { codeOf } from "../util/code-of.ts";
import { Fault, nearest, show } from "./fault.ts";
import { callerPlace, type Place } from "./place.ts";
import { wrong } from "./strings.ts";

/** A file or folder that a build file named. */
export interface NamedFile {
  /** Absolute. */
  readonly file: string;
  /** `path("./src")`, for messages. */
  readonly label: string;
  readonly place: Place | undefined;
}

/** What a build file means by `location`: relative to the file that calls; it must exist. */
export function locate(api: string, location: unknown): NamedFile {
  const place = callerPlace();
  const shown = location instanceof URL ? location.href : location;
  const label = `${api}(${show(shown)})`;
  let file: string;
  if (location instanceof URL) {
    if (location.protocol !== "file:") throw wrong({ label, place }, "it is not the URL of a file");
    file = fileURLToPath(location);
  } else if (typeof location === "string" && location !== "") {
    if (location.startsWith("file:")) {
      throw wrong({ label, place }, "it is a URL as text", "write new URL(…) around it");
    }
    file = resolve(place ? dirname(place.file) : process.cwd(), location);
  } else {
    throw wrong({ label, place }, "it is no path");
  }
  if (!isThere(file)) {
    throw missing(file, typeof location === "string" ? location : file, place);
  }
  return { file, label, place };
}

/** A file's text; bytes that are no UTF-8 come as U+DC80 to U+DCFF and go out again as they were. */
export function readTextFile(
  api: string,
  location: string | URL,
): { text: string; named: NamedFile } {
  const named = locate(api, location);
  context().filesRead.add(named.file);
  try {
    return { text: bytesToString(readFileSync(named.file)), named };
  } catch (error) {
    const reason = codeOf(error) === "EISDIR" ? "it is a folder" : String(error);
    throw wrong(named, reason);
  }
}

/** Points at the first element of the path that is not there, and at what was probably meant. */
function missing(file: string, written: string, place: Place | undefined): Fault {
  let absent = file;
  while (!existsSync(dirname(absent))) absent = dirname(absent);
  const meant = nearest(basename(absent), namesIn(dirname(absent)));
  const better = meant === undefined ? undefined : written.replace(basename(absent), meant);
  const hint = better === undefined || better === written ? undefined : better;
  return new Fault("file.missing", `no file ${written}`, { hint, place });
}

/** Whether there is a file, folder or symlink, wherever that leads. */
function isThere(file: string): boolean {
  try {
    return lstatSync(file, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    if (codeOf(error) === "ENOTDIR") return false;
    throw error;
  }
}

function namesIn(folder: string): readonly string[] {
  return lstatSync(folder).isDirectory() ? readdirSync(folder) : [];
}
