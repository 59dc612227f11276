// Packs a package as npm does, but always to the same bytes: sorted, without times and owners.
import { readFileSync, statSync, writeFileSync, globSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { BuildContext } from "kiln-store";

interface Attrs {
  "package.json": string;
  dist: string;
}

export default function pack({ attrs, out }: BuildContext<Attrs>): void {
  const compiled = globSync("**/*.{js,d.ts}", { cwd: attrs.dist })
    .filter((file) => !file.includes(".test."))
    .map((file): [string, string] => [`package/dist/${file}`, join(attrs.dist, file)]);
  const files = [["package/package.json", attrs["package.json"]] as const, ...compiled].toSorted(
    ([a], [b]) => (a < b ? -1 : 1),
  );
  const blocks = files.flatMap(([name, file]) => {
    const content = readFileSync(file);
    const mode = (statSync(file).mode & 0o111) === 0 ? 0o644 : 0o755;
    return [header(name, content.length, mode), content, Buffer.alloc(-content.length & 511)];
  });
  writeFileSync(out, gzipSync(Buffer.concat([...blocks, Buffer.alloc(1024)]), { level: 9 }));
  console.log(files.map(([name]) => name).join("\n"));
}

/** The 512 bytes before a file in a tar archive (POSIX ustar). */
function header(name: string, size: number, mode: number): Buffer {
  if (Buffer.byteLength(name) > 100) throw new Error(`${name}: too long for this little packer`);
  const block = Buffer.alloc(512);
  block.write(name, 0);
  block.write(`${octal(mode, 7)}\0${octal(0, 7)}\0${octal(0, 7)}\0`, 100);
  block.write(`${octal(size, 11)}\0${octal(0, 11)}\0        0`, 124);
  block.write("ustar\u000000", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 6)}\0 `, 148);
  return block;
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, "0");
}
