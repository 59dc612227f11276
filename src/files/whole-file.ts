import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";

/** How {@link writeWholeFile} writes. */
export interface WholeFileOptions {
  /** Of a new file, before the umask; default 0666. */
  readonly mode?: number;
  /** Fails with `EEXIST` where something has the name already; default false: that is replaced. */
  readonly exclusive?: boolean;
  /** Have the bytes on the disk before the file gets its name; default false. */
  readonly synced?: boolean;
}

/** Writes a file that appears when it is complete: a full disk leaves what was there before, and nothing beside it. */
export function writeWholeFile(
  path: string,
  content: string,
  { mode = 0o666, exclusive = false, synced = false }: WholeFileOptions = {},
): void {
  const draft = `${path}.${process.pid}.part`;
  rmSync(draft, { force: true });
  try {
    const file = openSync(draft, "wx", mode);
    try {
      writeFileSync(file, content);
      if (synced) fsyncSync(file);
    } finally {
      closeSync(file);
    }
    // Unlike a rename, a link does not replace what is there.
    if (exclusive) linkSync(draft, path);
    else renameSync(draft, path);
  } finally {
    rmSync(draft, { force: true });
  }
}
