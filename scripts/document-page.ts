// Turns a document of docs/ into a page.
import { posix } from "node:path";
import markdownIt from "markdown-it";

/** A document that the pages link to each other as. */
export interface Listed {
  /** The file, from docs/. */
  readonly file: string;
  readonly title: string;
}

/** A part of the list of documents. */
export interface Chapter {
  readonly title: string;
  readonly documents: readonly Listed[];
}

/** The chapters of docs/README.md, with all documents that are named there, in order. */
export function chaptersOf(readme: string): Chapter[] {
  const [, ...parts] = readme.split(/^## /m);
  return parts.map((part) => ({
    title: part.split("\n")[0] ?? "",
    documents: [...part.matchAll(/\[([^\]]+)\]\(([^)#]+\.md)\)/g)].map(
      ([, title = "", file = ""]) => ({ file, title: capitalized(title) }),
    ),
  }));
}

function capitalized(title: string): string {
  return title.startsWith("zb") ? title : title.charAt(0).toUpperCase() + title.slice(1);
}

/** The anchor of a heading, as code hosts make it. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(" ", "-");
}

/** The page of a document of docs/. */
export function pageOf(file: string): string {
  return file.replace(/(?:README)?\.md$/, (end) => (end === ".md" ? ".html" : "index.html"));
}

export interface Page {
  readonly html: string;
  /** Files outside docs/ that it links to, from the checkout's root; the pages have them at the same place in `files`. */
  readonly files: readonly string[];
}

/**
 * The page of the document `file` (from docs/) with this text. `isFile` tells of paths from the checkout's root whether there is
 * a file that can be linked to.
 */
export function documentPage(
  file: string,
  text: string,
  { chapters, isFile }: { chapters: readonly Chapter[]; isFile: (path: string) => boolean },
): Page {
  const files: string[] = [];
  const up = "../".repeat(file.split("/").length - 1);
  const hrefOf = (link: string): string | undefined => {
    if (/^(?:[a-z]+:|#)/.test(link)) return link;
    const [path = "", anchor] = link.split("#");
    const target = posix.normalize(posix.join("docs", posix.dirname(file), path));
    const end = anchor === undefined ? "" : `#${anchor}`;
    if (target.startsWith("docs/")) return pageOf(path) + end;
    if (!isFile(target)) return undefined;
    files.push(target);
    // As text, whatever a server takes the file's ending for.
    return `${up}files/${target}.txt`;
  };
  const title = /^# (.+)$/m.exec(text)?.[1] ?? file;
  return { html: frame({ file, title, up, chapters, body: render(text, hrefOf) }), files };
}

/** The text as HTML; links for which there is no page become plain text. Marks for tests are comments, and so not seen. */
function render(text: string, hrefOf: (link: string) => string | undefined): string {
  const markdown = markdownIt({ html: true });
  const { rules } = markdown.renderer;
  rules["heading_open"] = (tokens, at) => {
    const heading = (tokens[at + 1]?.children ?? []).map(({ content }) => content).join("");
    return `<${tokens[at]?.tag} id="${anchorOf(heading)}">`;
  };
  rules["table_open"] = () => '<div class="table" tabindex="0"><table>';
  rules["table_close"] = () => "</table></div>";
  const open: boolean[] = [];
  rules["link_open"] = (tokens, at) => {
    const href = hrefOf(String(tokens[at]?.attrGet("href") ?? ""));
    open.push(href !== undefined);
    return href === undefined ? "" : `<a href="${markdown.utils.escapeHtml(href)}">`;
  };
  rules["link_close"] = () => (open.pop() === true ? "</a>" : "");
  // What is wider than a screen is scrolled with the keyboard, too; a head without words is none.
  return markdown
    .render(text.replaceAll(/^<!--.*?-->$/gms, ""))
    .replaceAll("<pre>", '<pre tabindex="0">')
    .replaceAll("<th></th>", "<td></td>");
}

function frame(page: {
  file: string;
  title: string;
  up: string;
  chapters: readonly Chapter[];
  body: string;
}): string {
  const { file, title, up, chapters, body } = page;
  const all = chapters.flatMap(({ documents }) => documents);
  const at = all.findIndex((listed) => listed.file === file);
  const link = (listed: Listed | undefined, rel: string, arrow: string): string =>
    listed === undefined
      ? "<span></span>"
      : `<a rel="${rel}" href="${up}${pageOf(listed.file)}">${arrow} ${listed.title}</a>`;
  const lists = chapters.map(({ title: chapter, documents }) => {
    const items = documents.map((listed) => {
      const current = listed.file === file ? ' aria-current="page"' : "";
      return `<li><a href="${up}${pageOf(listed.file)}"${current}>${listed.title}</a></li>`;
    });
    return `<h2>${chapter}</h2>\n<ul>\n${items.join("\n")}\n</ul>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title} - Kiln</title>
<link rel="stylesheet" href="${up}style.css">
</head>
<body>
<nav aria-label="Documents">
<p><a href="${up}index.html">Kiln</a></p>
${lists.join("\n")}
<h2>Reference</h2>
<ul><li><a href="${up}api/index.html">The library's API</a></li></ul>
</nav>
<main>
${body}
<footer>${link(all[at - 1], "prev", "←")}${link(at === -1 ? undefined : all[at + 1], "next", "→")}</footer>
</main>
</body>
</html>
`;
}
