/** The page's files: one shell for all its addresses, and what that loads. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { errorCode } from "../files/file-error.ts";

/** Where the build of the package puts the page; a source file finds it beside the compiled ones. */
export const pageFolder: string = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../../dist/ui" : "../ui", import.meta.url),
);

/** What browsers may do with what they get from here. Styles that scripts set element by element are no inline styles. */
export const securityHeaders: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data:; connect-src 'self'; " +
    "worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

const placeholder = "<!--noscript-->";
const absent =
  '<!doctype html><html lang="en"><title>Kiln</title><p>The page was not built: <code>npm run build</code>. The API is at /api/v1/.';

/** The shell. `noScript` is what those see who run no scripts: HTML. */
export function shell(noScript: string): string {
  return readShell().replace(placeholder, () => noScript);
}

/** Text as HTML shows it. */
export function escapeHtml(text: string): string {
  return text
    .toWellFormed()
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
}

function readShell(): string {
  try {
    return readFileSync(`${pageFolder}/index.html`, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return absent;
    throw error;
  }
}
