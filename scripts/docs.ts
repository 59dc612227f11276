// Makes pages of the documents, beside those that typedoc has made of the library.
//   node scripts/docs.ts [FOLDER]     default docs/pages
import { copyFileSync, globSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chaptersOf, documentPage, pageOf } from "./document-page.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const docs = join(root, "docs");
const pages = process.argv[2] ?? join(docs, "pages");

const isFile = (path: string): boolean =>
  statSync(join(root, path), { throwIfNoEntry: false })?.isFile() === true;
const chapters = chaptersOf(readFileSync(join(docs, "README.md"), "utf8"));
const documents = globSync("**/*.md", { cwd: docs, exclude: ["node_modules/**", "pages/**"] });
for (const file of documents) {
  const page = documentPage(file, readFileSync(join(docs, file), "utf8"), { chapters, isFile });
  write(pageOf(file), (target) => writeFileSync(target, page.html));
  for (const linked of page.files) {
    write(join("files", `${linked}.txt`), (target) => copyFileSync(join(root, linked), target));
  }
}
for (const file of ["style.css", ...globSync("*.schema.json", { cwd: docs })]) {
  write(file, (target) => copyFileSync(join(docs, file), target));
}
console.log(join(pages, "index.html"));

function write(file: string, how: (target: string) => void): void {
  const target = join(pages, file);
  mkdirSync(dirname(target), { recursive: true });
  how(target);
}
