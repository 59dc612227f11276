/** The list of mounts that init.pl or `mount --all --fstab` works through, in its order. */
export interface Mount {
  /** A path of the host, or a word where the type needs none. */
  readonly source: string;
  /** A path of the host, clean and without links: it is used as it stands. */
  readonly target: string;
  /** `none` for a bind mount. */
  readonly type: string;
  readonly options: readonly string[];
}

export function printFstab(mounts: Iterable<Mount>): string {
  const lines = Array.from(mounts, ({ source, target, type, options }) =>
    [escape(source), escape(target), type, options.join(",")].join(" "),
  );
  return lines.map((line) => `${line}\n`).join("");
}

/** What would end a field, a line or an escape, in octal, as fstab(5) has it. */
function escape(path: string): string {
  return path.replaceAll(
    /[\0-\x20\\#]/g,
    (character) => `\\${character.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
}
