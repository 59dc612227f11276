/**
 * Windows paths as texts: volumes, absoluteness and lexical cleaning by the rules of Go's path/filepath, which zb follows. They
 * mean the same on every host, so that a store directory of another system can be named, printed and hashed.
 */

/** Whether `path` names a place without help of a current directory: `C:\x` and `\\server\share`, but not `C:x` or `\x`. */
export function isAbsoluteWindowsPath(path: string): boolean {
  const volume = volumeLength(path);
  if (volume === 0) return false;
  if (isSeparator(path, 0) && isSeparator(path, 1)) return true;
  return isSeparator(path, volume);
}

/** `path`, which must be absolute, without `.`, `..`, double and trailing separators, and with backslashes only. */
export function cleanWindowsPath(path: string): string {
  const length = volumeLength(path);
  const volume = path.slice(0, length).replaceAll("/", "\\");
  // `\\server\share` alone is whole as it is: it gets no separator.
  if (length === path.length) return volume;
  const elements: string[] = [];
  for (const element of path.slice(length).split(/[\\/]/)) {
    if (element === "..") elements.pop();
    else if (element !== "" && element !== ".") elements.push(element);
  }
  return `${volume}\\${elements.join("\\")}`;
}

/** The length of the leading drive letter, server and share, or device name; 0 when there is none. */
export function volumeLength(path: string): number {
  if (path[1] === ":") return 2;
  if (!isSeparator(path, 0)) return 0;
  if (/^[\\/]{2}\.[\\/]unc[\\/]/i.test(path)) return shareEnd(path, "\\\\.\\UNC\\".length);
  if (/^[\\/](?:[\\/][.?]|\?\?)(?:[\\/]|$)/.test(path)) {
    // A device: `\\.\C:`, `\\?\C:` or `\??\C:`, up to the separator after its name.
    const end = path.slice(4).search(/[\\/]/);
    return end === -1 ? path.length : end + 4;
  }
  return isSeparator(path, 1) ? shareEnd(path, 2) : 0;
}

/** Where `server\share`, which begins at `start`, ends. */
function shareEnd(path: string, start: number): number {
  const share = /^[^\\/]*[\\/][^\\/]*/.exec(path.slice(start));
  return share === null ? path.length : start + share[0].length;
}

function isSeparator(path: string, at: number): boolean {
  return path[at] === "\\" || path[at] === "/";
}
