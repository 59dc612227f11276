/** Who may change something through the page: who has the token, and asks from the page itself. */
import { randomBytes, timingSafeEqual } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import type { IncomingHttpHeaders } from "node:http";
import { dirname } from "node:path";
import { makeFolders } from "../files/make-folders.ts";
import { errorCode, fileError } from "../files/file-error.ts";
import { writeWholeFile } from "../files/whole-file.ts";
import { sha256 } from "../format/hash.ts";
import { KilnError } from "../util/kiln-error.ts";

/**
 * The token in a file; when there is none, a new one is written that only its owner can read.
 *
 * @throws KilnError `ui.token` for a token that is easy to guess or that everybody can read, `file.…`
 */
export function readToken(path: string): string {
  try {
    makeFolders(dirname(path));
    const token = randomBytes(32).toString("base64url");
    writeWholeFile(path, `${token}\n`, { mode: 0o600, exclusive: true });
    return token;
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw fileError("write", path, error);
  }
  try {
    if ((statSync(path).mode & 0o007) !== 0) {
      throw new KilnError(
        "ui.token",
        `the token in ${path} is no secret: everybody may use the file`,
        {
          path,
          hint: `chmod o= ${path}, and have another token in it`,
        },
      );
    }
    const token = readFileSync(path, "utf8").trim();
    if (token.length >= 16) return token;
  } catch (error) {
    throw fileError("read", path, error);
  }
  throw new KilnError("ui.token", `${path} holds no token: wanted 16 characters or more`, { path });
}

/**
 * Lets an administrator's request pass.
 *
 * @throws KilnError `http.readOnly` (nobody may change anything), `http.origin` (another page asks), `http.token`
 */
export function requireAdministrator(
  headers: IncomingHttpHeaders,
  token: string | undefined,
): void {
  if (token === undefined) {
    throw new KilnError("http.readOnly", "nothing can be changed here", {
      hint: "kiln serve --ui-token-file",
    });
  }
  const { host, origin } = headers;
  const site = headers["sec-fetch-site"];
  const isSameOrigin =
    origin === undefined
      ? site === undefined
      : origin === `http://${host}` || origin === `https://${host}`;
  if (!isSameOrigin || (site !== undefined && site !== "same-origin")) {
    throw new KilnError("http.origin", "changes must come from the page itself");
  }
  const given = /^Bearer ([\x21-\x7e]+)$/.exec(headers.authorization ?? "")?.[1] ?? "";
  // Of equal length, and compared in equal time.
  if (!timingSafeEqual(sha256(given).bytes, sha256(token).bytes)) {
    throw new KilnError("http.token", "this is not the administrator's token");
  }
}
