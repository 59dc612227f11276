/** Input and output of commands that move bytes: files, and `-` for the standard streams. */
import {
  accessSync,
  closeSync,
  constants,
  createReadStream,
  createWriteStream,
  fstatSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { stat } from "node:fs/promises";
import { once } from "node:events";
import { dirname } from "node:path";
import { attempt, fileError } from "../files/file-error.ts";
import { KilnError } from "../util/kiln-error.ts";

/**
 * Opens a file (`-`: standard input) now, so that one that cannot be read is found before anything is done; the bytes come when asked
 * for.
 *
 * @throws KilnError `file.type`
 */
export function openInput(name: string): () => AsyncIterable<Buffer> {
  if (name === "-") return () => process.stdin;
  const fd = openSync(name, "r");
  if (fstatSync(fd).isDirectory()) {
    closeSync(fd);
    throw new KilnError("file.type", `${name} is a directory`, { path: name });
  }
  return () => createReadStream(name, { fd, highWaterMark: 256 * 1024 });
}

/** All bytes of an input. */
export async function readAll(input: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of input) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/**
 * Writes bytes to a file (`-`: standard output). A file appears when it is complete; what fails leaves nothing. Things that are no
 * files, as /dev/null or a pipe, are written to as they are. `mode` is that of a new file, before the umask; an `exclusive` one replaces
 * no other.
 *
 * @throws KilnError `file.…`, `disk.…`
 */
export async function writeOutput(
  name: string,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  { mode = 0o666, exclusive = false }: { mode?: number; exclusive?: boolean } = {},
): Promise<void> {
  if (name === "-") {
    await writeAll(process.stdout, chunks);
    return;
  }
  const inPlace = await isSpecial(name);
  const target = inPlace ? name : `${name}.${process.pid}.part`;
  const fd = attempt("make", name, () => openSync(target, inPlace ? "w" : "wx", mode));
  const file = createWriteStream(target, { fd, autoClose: false });
  let failure: KilnError | undefined;
  file.on("error", (error) => (failure = fileError("write", name, error)));
  try {
    await writeAll(file, chunks);
    file.end();
    await once(file, "finish");
    closeSync(fd);
    if (inPlace) return;
    // Unlike a rename, a link does not replace what is there.
    if (exclusive) attempt("make", name, () => linkSync(target, name));
    else renameSync(target, name);
    if (exclusive) rmSync(target);
  } catch (error) {
    file.destroy();
    if (!inPlace) rmSync(target, { force: true });
    throw failure ?? error;
  }
}

/** A chunk is written, and not needed any more, when the next one is asked for. */
async function writeAll(
  stream: NodeJS.WritableStream,
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  // Whoever waits for a write hears of it, too.
  stream.on("error", () => undefined);
  for await (const chunk of chunks) {
    await new Promise<void>((resolve, reject) => {
      stream.write(chunk, (error) => (error ? reject(error) : resolve()));
    });
  }
}

async function isSpecial(name: string): Promise<boolean> {
  try {
    return !(await stat(name)).isFile();
  } catch {
    return false;
  }
}

/**
 * What is written at the end must not fail for a reason that was there before.
 *
 * @throws KilnError `usage.value` when `flag` names nothing; `file.missing`, `file.denied` when there is no folder for what it names, or
 *   nothing can be made there
 */
export function requireFolder(flag: string, file: string | undefined): void {
  if (file === undefined || file === "-") return;
  if (file === "") throw new KilnError("usage.value", `${flag} is empty: it takes a name`);
  const folder = dirname(file);
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true) {
    if (isWritable(folder) || isDevice(file)) return;
    throw new KilnError("file.denied", `${flag} ${file}: nothing can be made in ${folder}`, {
      path: folder,
      hint: "name another place, in which you can write",
    });
  }
  throw new KilnError("file.missing", `${flag} ${file}: there is no folder ${folder}`, {
    path: folder,
  });
}

function isWritable(folder: string): boolean {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Something that is written to as it is, as /dev/null. */
function isDevice(file: string): boolean {
  const stats = statSync(file, { throwIfNoEntry: false });
  return stats !== undefined && !stats.isFile() && !stats.isDirectory();
}
